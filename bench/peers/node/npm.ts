// Loads a peer from bench/peers/node_modules, where the harness installs them: this file runs from
// dist/, whence a bare import would look elsewhere.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { npmPeers } from '../../harness/paths.js';

const { resolve } = createRequire(join(npmPeers, 'package.json'));

/** The module that `import name from 'name'` gives. */
export async function importPeer<T>(name: string): Promise<T> {
  const { default: peer } = (await import(pathToFileURL(resolve(name)).href)) as { default: T };
  return peer;
}
