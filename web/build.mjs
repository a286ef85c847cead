// Gathers everything the page needs in one folder of static files:
//   npm ci && npm run build [-- MODEL.tflite [FOLDER]]
import {createHash} from 'node:crypto';
import {copyFile, cp, mkdir, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {dirname, join, relative} from 'node:path';
import {fileURLToPath} from 'node:url';
import {build} from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(here);
const [
  model = join(root, 'tfexposure', 'pretrained', 'natural.tflite'),
  target = join(root, 'tfexposure', 'web', 'page'),
] = process.argv.slice(2);
const SAMPLES = ['china', 'picture_1a', 'seeding'];

await rm(target, {recursive: true, force: true});
await mkdir(join(target, 'litert'), {recursive: true});
await cp(join(here, 'static'), target, {recursive: true});
const common = {bundle: true, minify: true, target: 'es2022', legalComments: 'linked'};
await build({
  ...common,
  format: 'esm',
  outdir: target,
  entryPoints: ['app', 'pixels'].map((name) => join(here, 'src', `${name}.js`)),
});
// A classic worker: LiteRT.js loads its WebAssembly by importScripts.
await build({
  ...common,
  format: 'iife',
  outdir: target,
  entryPoints: [join(here, 'src', 'network.js')],
});
// The build with threads, and one for browsers that lack what it needs.
const wasm = join(here, 'node_modules', '@litertjs', 'core', 'wasm');
for (const kind of ['threaded', 'compat']) {
  for (const suffix of ['js', 'wasm']) {
    const name = `litert_wasm_${kind}_internal.${suffix}`;
    await copyFile(join(wasm, name), join(target, 'litert', name));
  }
}
await copyFile(model, join(target, 'model.tflite'));
for (const name of SAMPLES) {
  await copyFile(join(root, 'samples', `${name}.jpg`), join(target, 'samples', `${name}.jpg`));
}
await writeServiceWorker();
console.log(`The page: ${target}. Serve it, for example: python3 -m http.server -d ${target}`);

/** The service worker keeps files of one build together, by its hash. */
async function writeServiceWorker() {
  const names = (await readdir(target, {recursive: true, withFileTypes: true}))
    .filter((entry) => entry.isFile())
    .map((entry) => relative(target, join(entry.parentPath, entry.name)))
    .sort();
  const hash = createHash('sha256');
  for (const name of names) hash.update(name).update(await readFile(join(target, name)));
  // Of LiteRT.js's two builds a browser needs one: kept when it asks for it.
  const first = names.filter((name) => !name.startsWith('litert') && !name.endsWith('.txt'));
  await build({
    ...common,
    format: 'iife',
    outdir: target,
    entryPoints: [join(here, 'src', 'sw.js')],
    define: {
      POLICY: JSON.stringify(await policy()),
      BUILD: JSON.stringify(hash.digest('hex').slice(0, 16)),
      FILES: JSON.stringify(['./', ...first]),
    },
  });
}

/** The policy that index.html states: workers get it from a server's headers. */
async function policy() {
  const page = await readFile(join(target, 'index.html'), 'utf8');
  return page.match(/http-equiv="Content-Security-Policy" content="([^"]*)"/)[1];
}
