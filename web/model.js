// The exported .tflite file, run by LiteRT.js.
import {loadAndCompile, loadLiteRt, Tensor} from '@litertjs/core';
import {cut, paste, plan, thumbnail} from './tiles.js';

export class Restorer {
  /** Loads a file that `tfexposure-export-tflite --size=...` wrote. */
  static async load(url) {
    const reply = await fetch(url);
    if (!reply.ok) throw new Error(`${url}: ${reply.status} ${reply.statusText}`);
    const contents = new Uint8Array(await reply.arrayBuffer());
    await loadLiteRt(new URL('./litert/wasm/', import.meta.url).href);
    const model = await loadAndCompile(contents, {accelerator: 'wasm'});
    return new Restorer(model, readManifest(contents));
  }

  constructor(model, manifest) {
    this.model = model;
    this.manifest = manifest;
    this.inputs = Object.fromEntries(model.getInputDetails().map((d) => [d.name, d]));
    const image = this.inputs.image;
    if (!image || !(image.shape[1] > 0)) {
      throw new Error('The model takes pictures of any size; a browser needs one of a fixed --size.');
    }
    this.size = image.shape[1];
    this.bytes = image.dtype === 'uint8';
  }

  /**
   * Restores RGBA pixels {data, width, height}; answers ImageData.
   * `progress` is told the share done, from 0 to 1.
   */
  async restore(picture, progress = () => {}) {
    const {halo, stride} = this.manifest;
    const rows = plan(picture.height, this.size, halo, stride);
    const columns = plan(picture.width, this.size, halo, stride);
    const result = new ImageData(picture.width, picture.height);
    const extra = {};
    if (this.inputs.thumbnail) {
      const shape = this.inputs.thumbnail.shape;
      extra.thumbnail = new Tensor(
        thumbnail(picture, shape[1], this.manifest.clip_share),
        [...shape],
      );
    }
    let done = 0;
    for (const row of rows) {
      for (const column of columns) {
        const window = await this.#run(picture, row.window, column.window, extra);
        // A quantised output has levels of 1/256, a float one is in [0, 1].
        paste(window, this.size, this.bytes ? 255 / 256 : 255, result, row, column);
        progress(++done / (rows.length * columns.length));
        // Lets the page draw, and hear its visitor.
        await new Promise((resolve) => setTimeout(resolve));
      }
    }
    extra.thumbnail?.delete();
    return result;
  }

  async #run(picture, top, left, extra) {
    const Type = this.bytes ? Uint8Array : Float32Array;
    const values = cut(picture, top, left, this.size, this.bytes ? 1 : 1 / 255, Type);
    const image = new Tensor(values, [1, this.size, this.size, 3]);
    const {restored} = await this.model.run({image, ...extra});
    const answer = Type.from(await restored.data());
    image.delete();
    restored.delete();
    return answer;
  }
}

/** Reads manifest.json out of the zip that is appended to the file. */
function readManifest(contents) {
  const view = new DataView(contents.buffer);
  // The end of a zip without comment: 22 bytes that begin with PK\5\6.
  const end = contents.length - 22;
  if (end < 0 || view.getUint32(end, true) !== 0x06054b50) {
    throw new Error('The model carries no manifest: export it with tfexposure-export-tflite.');
  }
  const length = view.getUint32(end + 12, true);
  // Offsets may count from the zip's own start, so look back from the end.
  const entry = end - length;
  const size = view.getUint32(entry + 20, true);
  const start = entry - size;
  return JSON.parse(new TextDecoder().decode(contents.subarray(start, entry)));
}
