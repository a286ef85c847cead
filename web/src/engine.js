// Photos from file to answer: asks the worker of the pixels and that of the
// network, so that the page itself never computes.
import {slopesOfStops} from './gate.js';
import {connect} from './rpc.js';

/**
 * How a photo is corrected. `stops` null: as the model judges. `force`: even what
 * the model would leave alone.
 */
export const DEFAULTS = {strength: 1, ev: 0, stops: null, force: false};

// Photos whose coefficients stay, 14 MB each for a large one.
const MOST_KEPT = 6;

export class Engine {
  #pixels = connect(new Worker('./pixels.js', {type: 'module'}));
  #network = connect(new Worker('./network.js'));
  #count = 0;
  #fields = Promise.resolve(); // One at a time.
  #kept = []; // Photos that have coefficients, the latest last.

  /** The photo that is looked at: its coefficients stay. */
  current = null;

  /** Loads the model; answers how many threads it runs on. */
  async load() {
    const url = (name) => new URL(name, document.baseURI).href;
    const {manifest, threads} = await this.#network('load', [url('model.tflite'), url('litert/')]);
    await this.#pixels('setManifest', [manifest]);
    return threads;
  }

  /** Reads a file and judges it: a photo, which `options` may be changed of. */
  async open(file) {
    const id = this.#count++;
    const seen = await this.#pixels('open', [id, file]);
    const told = await this.#network('look', [seen.thumbnail]);
    const verdict = await this.#pixels('decide', [id, told]);
    const photo = {
      id,
      name: file.name,
      ...seen,
      told,
      verdict,
      options: {...DEFAULTS},
      field: null,
    };
    delete photo.thumbnail;
    return photo;
  }

  /** The share of the answer that a photo gets by its options, 0 to 1. */
  share({verdict, options}) {
    return options.force || options.stops !== null ? 1 : verdict.share;
  }

  /** What of `view`'s and `save`'s options follows from a photo's. */
  #mixing(photo) {
    const {strength, ev} = photo.options;
    const share = this.share(photo);
    // Light can be added without the network, too.
    return {alpha: strength * (share > 0 ? share : ev === 0 ? 0 : 1), ev};
  }

  /** Whether any pixel may differ from the photo's. */
  changes(photo) {
    return this.#mixing(photo).alpha > 0;
  }

  /**
   * Brings a photo's curve and coefficients up to its options. The curve is there
   * at once; `redraw` is called then, and again when the coefficients are.
   */
  async develop(photo, redraw = () => {}) {
    const {stops} = photo.options;
    if (this.share(photo) === 0) {
      await this.#drop(photo);
      return redraw();
    }
    const known =
      stops === null ? photo.told.slopes : slopesOfStops(stops, photo.told.slopes.length);
    await this.#pixels('develop', [photo.id, known]);
    if (photo.field?.stops === stops) return redraw();
    if (photo.field) redraw();
    const turn = this.#fields.then(() => this.#compute(photo, stops, known));
    this.#fields = turn.catch(() => {});
    await turn;
    return redraw();
  }

  async #compute(photo, stops, slopes) {
    // Whether the photo or its options have changed while this waited.
    const late = () => photo.closed || photo.options.stops !== stops || this.share(photo) === 0;
    if (late() || photo.field?.stops === stops) return;
    const {image, height, width} = await this.#pixels('reduced', [photo.id]);
    const answer = await this.#network(
      'field',
      [image, height, width, slopes, photo.told.code],
      [image.buffer],
    );
    if (late()) return;
    const {field: values, height: rows, width: columns} = answer;
    await this.#pixels(
      'develop',
      [photo.id, slopes, {values, height: rows, width: columns}],
      [values.buffer],
    );
    photo.field = {stops};
    this.#kept = [...this.#kept.filter((other) => other !== photo), photo];
    const oldest = this.#kept.find((other) => other !== photo && other !== this.current);
    if (this.#kept.length > MOST_KEPT && oldest) await this.#drop(oldest);
  }

  /** Takes a photo's curve and coefficients away. */
  #drop(photo) {
    photo.field = null;
    this.#kept = this.#kept.filter((other) => other !== photo);
    return this.#pixels('develop', [photo.id, null]);
  }

  /** Draws a part of a photo: see `view` in pixels.js. */
  view(photo, factor, part, which) {
    const options =
      which === 'before' ? null : {...this.#mixing(photo), invented: which === 'invented'};
    return this.#pixels('view', [photo.id, factor, part, options]);
  }

  /** Writes the answer as a file: {blob, note}. */
  async save(photo, type, quality) {
    await this.develop(photo);
    return this.#pixels('save', [photo.id, this.#mixing(photo), type, quality]);
  }

  close(photo) {
    photo.closed = true;
    this.#kept = this.#kept.filter((other) => other !== photo);
    return this.#pixels('forget', [photo.id]);
  }
}
