// A worker that runs the network: the .tflite file, by LiteRT.js. It is apart
// from the worker of the pixels, so that sliders are heard while it computes.
// A classic worker: LiteRT.js loads its WebAssembly by importScripts.
import {loadAndCompile, loadLiteRt, supportsFeature, Tensor} from '@litertjs/core';
import {serve} from './rpc.js';
import {manifestOf, setShapes, signaturesOf} from './tflite.js';

const NAMES = {look: 'serving_look', field: 'serving_field'};
// Pixels a side of the signatures that are compiled without being asked for.
const LEAST = 32;
// More would be a phone's slow cores.
const MOST_THREADS = 4;

let contents;
let signatures;
let manifest;
let threads = 1;
let compiled; // {model, height, width}

serve({load, look, field});

/** Loads LiteRT.js and a file of any size; answers its manifest. */
async function load(modelUrl, wasmUrl) {
  const reply = await fetch(modelUrl);
  if (!reply.ok) throw new Error(`${modelUrl}: ${reply.status} ${reply.statusText}`);
  contents = new Uint8Array(await reply.arrayBuffer());
  manifest = manifestOf(contents);
  signatures = signaturesOf(contents);
  if (!signatures[NAMES.look] || !signatures[NAMES.field]) {
    throw new Error(
      'The model has no signatures for photos of any size: give the file of the natural model.',
    );
  }
  // Threads need shared memory, which headers allow; see tfexposure/web.
  const threaded = self.crossOriginIsolated && (await supportsFeature('relaxedSimd'));
  const build = `${wasmUrl}litert_wasm_${threaded ? 'threaded' : 'compat'}_internal.js`;
  threads = threaded ? Math.min(navigator.hardwareConcurrency, MOST_THREADS) : 1;
  self.Module = {
    // In a worker the module takes the worker's address for its own.
    locateFile: (name) => wasmUrl + name,
    mainScriptUrlOrBlob: build,
    // It tells of everything it does as of errors.
    printErr: (line) => /^(INFO|WARNING)/.test(line) || console.error(line),
  };
  await loadLiteRt(build);
  return {manifest, threads};
}

/** Judges a photo by its thumbnail: `slopes`, `code`, and what else it tells. */
async function look(thumbnail) {
  const model = compiled?.model ?? (await compile(LEAST, LEAST));
  return run(model, NAMES.look, {thumbnail});
}

/**
 * Computes the coefficients of a photo at reduced size.
 * `image` holds float32 RGB in [0, 1]. Answers {field, height, width}.
 */
async function field(image, height, width, slopes, code) {
  const model = await compile(height, width);
  const answer = await run(model, NAMES.field, {image, slopes, code});
  return {field: answer.field, height: cells(height), width: cells(width)};
}

async function compile(height, width) {
  if (compiled?.height === height && compiled.width === width) return compiled.model;
  compiled?.model.delete();
  compiled = undefined;
  setShapes(contents, (signature, name, shape) => {
    const size = signature === NAMES.field ? [height, width] : [LEAST, LEAST];
    if (name === 'image' || name === 'restored') return [1, ...size, 3];
    if (name === 'field') return [1, ...size.map(cells), shape.at(-1)];
    return shape.map((side, axis) => (axis === 0 ? 1 : side));
  });
  const model = await loadAndCompile(contents, {
    accelerator: 'wasm',
    cpuOptions: {numThreads: threads},
  });
  compiled = {model, height, width};
  return model;
}

/** Cells of the field along a side: the network pads to its stride. */
function cells(side) {
  return (Math.ceil(side / manifest.stride) * manifest.stride) / 2;
}

async function run(model, name, values) {
  const details = model.signatures[name].getInputDetails();
  const inputs = Object.fromEntries(
    details.map((input) => [input.name, new Tensor(values[input.name], [...input.shape])]),
  );
  const outputs = await model.run(name, inputs);
  const answers = {};
  for (const [key, tensor] of Object.entries(outputs)) {
    answers[key] = Float32Array.from(await tensor.data());
    tensor.delete();
  }
  for (const tensor of Object.values(inputs)) tensor.delete();
  return answers;
}
