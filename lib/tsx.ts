// tsx in isolates. On a Node without `module.registerHooks`, before 22.15, tsx strips the types of
// the main thread's modules only, although Workers inherit its options; its API puts that right.
import * as module from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

let registering: Promise<void> | undefined;

/** Before a module of TypeScript is imported: tsx is at work here as well, if it is there. */
export function registerTsx(): Promise<void> {
  return (registering ??= register());
}

async function register(): Promise<void> {
  if ('registerHooks' in module) return;
  const option = process.execArgv.find((arg) => /(^|[/=])tsx($|[/@])/.test(arg));
  if (option === undefined) return;
  // `tsx program.ts` gives the URL of its loader, `--import tsx` only a name.
  const from = /file:.*$/.exec(option)?.[0] ?? pathToFileURL(join(process.cwd(), 'tsx'));
  try {
    // Its CommonJS form, which `require.resolve` would find, registers nothing for `import`.
    const loader = pathToFileURL(module.createRequire(from).resolve('tsx'));
    const api = new URL('esm/api/index.mjs', loader).href;
    const tsx = (await import(api)) as { register: () => void };
    tsx.register();
  } catch {
    // Without it the import says what is wrong.
  }
}
