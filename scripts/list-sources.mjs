// Prints the C++ and assembly sources of the folders given, for binding.gyp: a new file is found,
// not listed. A folder that is not there yet has no sources.
import { existsSync, readdirSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

export function listSources(folders, root = new URL('..', import.meta.url)) {
  const inRoot = (folder) => new URL(`${folder}/`, root);
  return folders
    .filter((folder) => existsSync(inRoot(folder)))
    .flatMap((folder) => readdirSync(inRoot(folder)).map((name) => `${folder}/${name}`))
    .filter((path) => /\.(cc|S)$/.test(path))
    .sort();
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  console.log(listSources(process.argv.slice(2)).join('\n'));
}
