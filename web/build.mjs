// Gathers everything the page needs in one folder of static files:
//   npm install && npm run build -- path/to/generator-512.tflite [folder]
import {copyFile, cp, mkdir, rm} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const [model, target = join(here, 'dist')] = process.argv.slice(2);
if (!model) {
  console.error('usage: npm run build -- MODEL.tflite [FOLDER]');
  process.exit(2);
}
const modules = join(here, 'node_modules', '@litertjs');
await rm(target, {recursive: true, force: true});
await mkdir(join(target, 'litert', 'wasm'), {recursive: true});
for (const name of ['index.html', 'style.css', 'app.js', 'model.js', 'tiles.js']) {
  await copyFile(join(here, name), join(target, name));
}
await copyFile(join(modules, 'core', 'dist', 'index.js'), join(target, 'litert', 'core.js'));
await copyFile(join(modules, 'wasm-utils', 'dist', 'index.js'), join(target, 'litert', 'wasm-utils.js'));
// Single-threaded builds: threads would ask the web server for special headers.
for (const kind of ['', '_compat']) {
  for (const suffix of ['js', 'wasm']) {
    const name = `litert_wasm${kind}_internal.${suffix}`;
    await cp(join(modules, 'core', 'wasm', name), join(target, 'litert', 'wasm', name));
  }
}
await copyFile(model, join(target, 'model.tflite'));
console.log(`The page: ${target}. Serve it, for example: python3 -m http.server -d ${target}`);
