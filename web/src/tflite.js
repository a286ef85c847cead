// The little of a .tflite file's own format that the page needs. A file of any
// size says so by -1 in its shapes, which LiteRT.js refuses; the numbers are
// written over, and every operation then takes its shape from its inputs.
// Layout: TensorFlow's schema.fbs, in FlatBuffers.

/** A table of a FlatBuffer: fields by number, as the schema counts them. */
class Table {
  constructor(view, at) {
    this.view = view;
    this.at = at;
  }

  /** Where a field lies, or 0 if the table has none. */
  place(field) {
    const table = this.at - this.view.getInt32(this.at, true);
    const entry = 4 + 2 * field;
    if (entry >= this.view.getUint16(table, true)) return 0;
    const offset = this.view.getUint16(table + entry, true);
    return offset && this.at + offset;
  }

  number(field) {
    const place = this.place(field);
    return place ? this.view.getUint32(place, true) : 0;
  }

  /** Length of a vector, and where its first item lies. */
  vector(field) {
    const place = this.place(field);
    if (!place) return {length: 0, start: 0};
    const vector = follow(this.view, place);
    return {length: this.view.getUint32(vector, true), start: vector + 4};
  }

  tables(field) {
    const {length, start} = this.vector(field);
    return Array.from(
      {length},
      (_, index) => new Table(this.view, follow(this.view, start + 4 * index)),
    );
  }

  text(field) {
    const {length, start} = this.vector(field);
    const {buffer, byteOffset} = this.view;
    return new TextDecoder().decode(new Uint8Array(buffer, byteOffset + start, length));
  }

  integers(field) {
    const {length, start} = this.vector(field);
    return Array.from({length}, (_, i) => this.view.getInt32(start + 4 * i, true));
  }

  write(field, values) {
    const {length, start} = this.vector(field);
    if (length === 0) return;
    if (length !== values.length) throw new Error('The model has a shape of another rank.');
    values.forEach((value, i) => this.view.setInt32(start + 4 * i, value, true));
  }
}

function follow(view, place) {
  return place + view.getUint32(place, true);
}

/**
 * Lists the tensors by signature: {name of signature: {inputs, outputs}}, each
 * {name of tensor: shape}, where -1 is any size.
 */
export function signaturesOf(contents) {
  const found = {};
  for (const {key, inputs, outputs} of walk(contents)) {
    const shapes = (tensors) =>
      Object.fromEntries(tensors.map(({name, tensor}) => [name, shapeOf(tensor)]));
    found[key] = {inputs: shapes(inputs), outputs: shapes(outputs)};
  }
  return found;
}

/**
 * Writes shapes over those of all signatures' tensors.
 * `choose(signature, tensor, shape)` answers the new shape of each.
 */
export function setShapes(contents, choose) {
  for (const {key, inputs, outputs} of walk(contents)) {
    for (const {name, tensor} of [...inputs, ...outputs]) {
      const shape = choose(key, name, shapeOf(tensor));
      tensor.write(SHAPE, shape);
      tensor.write(SHAPE_SIGNATURE, shape);
    }
  }
}

const SHAPE = 0;
const SHAPE_SIGNATURE = 7;

function shapeOf(tensor) {
  const shape = tensor.integers(SHAPE_SIGNATURE);
  return shape.length ? shape : tensor.integers(SHAPE);
}

function* walk(contents) {
  const view = new DataView(contents.buffer, contents.byteOffset, contents.byteLength);
  const model = new Table(view, follow(view, 0));
  const subgraphs = model.tables(2);
  for (const signature of model.tables(7)) {
    const tensors = subgraphs[signature.number(4)].tables(0);
    const named = (field) =>
      signature.tables(field).map((map) => ({name: map.text(0), tensor: tensors[map.number(1)]}));
    yield {key: signature.text(2), inputs: named(0), outputs: named(1)};
  }
}

/** Reads manifest.json out of the zip that is appended to the file. */
export function manifestOf(contents) {
  const view = new DataView(contents.buffer, contents.byteOffset, contents.byteLength);
  // The end of a zip without comment: 22 bytes that begin with PK\5\6.
  const end = contents.length - 22;
  if (end < 0 || view.getUint32(end, true) !== 0x06054b50) {
    throw new Error('The model carries no manifest: export it with tfexposure-export-tflite.');
  }
  const length = view.getUint32(end + 12, true);
  // Offsets may count from the zip's own start, so look back from the end.
  const entry = end - length;
  const start = entry - view.getUint32(entry + 20, true);
  return JSON.parse(new TextDecoder().decode(contents.subarray(start, entry)));
}
