// In an isolate: inline functions from the text that inline.ts has read.
import { join } from 'node:path';
import { compileFunction, constants } from 'node:vm';
import { declareToolHelpers } from './tool-helpers.js';

/**
 * The function back from the `source` of an InlineFunction. It is strict, and its
 * `import()` finds what a file in the working directory would. `name` is for stacks.
 */
export function evaluateInline(source: string, name = ''): (...args: unknown[]) => unknown {
  const imports = /\bimport\b|__vite_ssr_dynamic_import__/.test(source);
  if (imports) allowImport();
  // What can stand in a source URL. The lines of a stack are those of the text.
  const shown = `heddle:inline/${name.replaceAll(/[^\p{ID_Continue}$.-]/gu, '_') || 'anonymous'}`;
  const helpers = declareToolHelpers(source);
  const code = `'use strict';${helpers}return (${source}\n)\n//# sourceURL=${shown}`;
  const make = compileFunction(code, [], {
    filename: imports ? join(process.cwd(), 'heddle-inline') : shown,
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  }) as () => (...args: unknown[]) => unknown;
  return make();
}

let isImportAllowed = false;

/**
 * Node warns when the first `import()` of compiled code uses its ordinary loader, which is called
 * experimental. No other API of it has that loader, and the warning would puzzle our users: so the
 * first is one of ours, and says nothing.
 */
function allowImport(): void {
  if (isImportAllowed) return;
  isImportAllowed = true;
  // eslint-disable-next-line @typescript-eslint/unbound-method -- it is put back as it was
  const { emitWarning } = process;
  try {
    process.emitWarning = () => {};
    const load = compileFunction("return import('node:vm')", [], {
      importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
    }) as () => unknown;
    load();
  } finally {
    process.emitWarning = emitWarning;
  }
}
