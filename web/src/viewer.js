// A photo before and after, under a divider; enlarged and moved by mouse, touch
// and keyboard. It asks for what is seen only, at the size it is seen.

const HANDLE = 28; // CSS pixels beside the divider that take hold of it.
const MOST = 8; // Screen pixels per pixel of the photo.
const MARGIN = 0.15; // Drawn beyond the stage, so that moving shows no holes.

export class Viewer {
  #stage;
  #split;
  #layers;
  #draw;
  #size = null; // Of the photo that is shown, {width, height}.
  #scale = 1; // CSS pixels per pixel of the photo.
  #fitted = true;
  #centre = {x: 0, y: 0};
  #pointers = new Map();
  #drag = null;

  /**
   * @param root element with #stage, #split and the buttons.
   * @param draw function of a factor, a part of the photo at 1 / factor, and
   *     'before' or 'after': promise of an ImageBitmap.
   */
  constructor(root, draw) {
    this.root = root;
    this.#stage = root.querySelector('#stage');
    this.#split = root.querySelector('#split');
    this.#draw = draw;
    this.#layers = ['before', 'after'].map((name) => {
      const element = root.querySelector(`#${name}`);
      const canvas = element.querySelector('canvas');
      return {name, element, canvas, context: canvas.getContext('bitmaprenderer'), version: 0};
    });
    this.#listen();
  }

  /** Shows another photo, as large as fits. */
  show(width, height) {
    this.#size = {width, height};
    for (const layer of this.#layers) {
      layer.version++;
      layer.drawn = null;
      layer.canvas.style.visibility = 'hidden';
    }
    this.fit();
  }

  fit() {
    this.#fitted = true;
    this.#place(this.#least(), this.#size.width / 2, this.#size.height / 2);
  }

  /** Draws the answer again: its options have changed. */
  refresh() {
    this.#layers[1].version++;
    this.#render();
  }

  #least() {
    const {clientWidth, clientHeight} = this.#stage;
    return Math.min(clientWidth / this.#size.width, clientHeight / this.#size.height) || 1;
  }

  /** Sets the size and the photo's point in the middle, within what is there. */
  #place(scale, x, y) {
    const least = this.#least();
    this.#scale = Math.min(Math.max(scale, least), Math.max(least, MOST / devicePixelRatio));
    this.#fitted = this.#scale <= least * 1.001;
    const inside = (value, length, seen) => {
      const half = seen / this.#scale / 2;
      return 2 * half >= length ? length / 2 : Math.min(Math.max(value, half), length - half);
    };
    this.#centre = {
      x: inside(x, this.#size.width, this.#stage.clientWidth),
      y: inside(y, this.#size.height, this.#stage.clientHeight),
    };
    this.#stage.classList.toggle('enlarged', !this.#fitted);
    this.#stage.classList.toggle('pixelated', this.#scale * devicePixelRatio > 2);
    const shown = this.root.querySelector('#scale');
    shown.value = `${Math.round(100 * this.#scale * devicePixelRatio)} %`;
    this.#render();
  }

  /** Enlarges by a factor around a point of the stage. */
  #zoom(factor, x = this.#stage.clientWidth / 2, y = this.#stage.clientHeight / 2) {
    const at = this.#photoPoint(x, y);
    const scale = Math.min(Math.max(this.#scale * factor, this.#least()), MOST / devicePixelRatio);
    const dx = (x - this.#stage.clientWidth / 2) / scale;
    const dy = (y - this.#stage.clientHeight / 2) / scale;
    this.#place(scale, at.x - dx, at.y - dy);
  }

  #photoPoint(x, y) {
    return {
      x: this.#centre.x + (x - this.#stage.clientWidth / 2) / this.#scale,
      y: this.#centre.y + (y - this.#stage.clientHeight / 2) / this.#scale,
    };
  }

  #move(dx, dy) {
    this.#place(this.#scale, this.#centre.x - dx / this.#scale, this.#centre.y - dy / this.#scale);
  }

  #render() {
    if (!this.#size) return;
    for (const layer of this.#layers) {
      this.#lay(layer);
      this.#ask(layer);
    }
  }

  /** What is to be drawn: {factor, part}, in the photo's pixels over factor. */
  #wanted() {
    const {width, height} = this.#size;
    const factor = Math.max(1, Math.floor(1 / (this.#scale * devicePixelRatio) + 0.01));
    const ends = (centre, seen, length) => {
      const half = (seen / this.#scale) * (0.5 + MARGIN);
      const last = Math.ceil(length / factor);
      return [
        Math.max(0, Math.floor((centre - half) / factor)),
        Math.min(last, Math.ceil((centre + half) / factor)),
      ];
    };
    const [left, right] = ends(this.#centre.x, this.#stage.clientWidth, width);
    const [top, bottom] = ends(this.#centre.y, this.#stage.clientHeight, height);
    return {factor, part: {top, bottom, left, right}};
  }

  /** Asks for a layer's pixels; once at a time, the last wish wins. */
  async #ask(layer) {
    if (layer.asking) return;
    layer.asking = true;
    try {
      for (;;) {
        const {factor, part} = this.#wanted();
        const key = JSON.stringify([layer.version, factor, part]);
        if (key === layer.drawn?.key) break;
        const size = this.#size;
        const bitmap = await this.#draw(factor, part, layer.name);
        if (!bitmap) break;
        if (size !== this.#size) {
          bitmap.close(); // Of a photo that is shown no more.
          continue;
        }
        layer.canvas.width = bitmap.width;
        layer.canvas.height = bitmap.height;
        layer.context.transferFromImageBitmap(bitmap);
        layer.canvas.style.visibility = '';
        layer.drawn = {key, factor, part};
        this.#lay(layer);
      }
    } finally {
      layer.asking = false;
    }
  }

  /** Puts what was drawn last where it belongs now. */
  #lay({canvas, drawn}) {
    if (!drawn) return;
    const scale = drawn.factor * this.#scale;
    const left = (drawn.part.left * drawn.factor - this.#centre.x) * this.#scale;
    const top = (drawn.part.top * drawn.factor - this.#centre.y) * this.#scale;
    const {clientWidth, clientHeight} = this.#stage;
    canvas.style.transform = `translate(${left + clientWidth / 2}px, ${top + clientHeight / 2}px) scale(${scale})`;
  }

  #slide() {
    const {value} = this.#split;
    this.root.querySelector('#after').style.clipPath = `inset(0 0 0 ${value}%)`;
    this.root.querySelector('#divider').style.left = `${value}%`;
    this.#split.setAttribute('aria-valuetext', `${value} % before`);
  }

  #slideTo(x) {
    this.#split.value = (100 * x) / this.#stage.clientWidth;
    this.#slide();
  }

  #listen() {
    const stage = this.#stage;
    this.#split.addEventListener('input', () => this.#slide());
    this.#slide();
    new ResizeObserver(() => {
      if (!this.#size) return;
      if (this.#fitted) this.fit();
      else this.#place(this.#scale, this.#centre.x, this.#centre.y);
    }).observe(stage);
    const buttons = {
      fit: () => this.fit(),
      full: () => this.#zoom(1 / devicePixelRatio / this.#scale),
      in: () => this.#zoom(1.5),
      out: () => this.#zoom(1 / 1.5),
    };
    for (const button of this.root.querySelectorAll('[data-zoom]')) {
      button.addEventListener('click', buttons[button.dataset.zoom]);
    }
    stage.addEventListener(
      'wheel',
      (event) => {
        event.preventDefault();
        const {x, y} = this.#local(event);
        this.#zoom(Math.exp(-event.deltaY / 300), x, y);
      },
      {passive: false},
    );
    stage.addEventListener('dblclick', (event) => {
      const {x, y} = this.#local(event);
      if (this.#fitted) this.#zoom(1 / devicePixelRatio / this.#scale, x, y);
      else this.fit();
    });
    stage.addEventListener('keydown', (event) => this.#key(event));
    stage.addEventListener('pointerdown', (event) => this.#down(event));
    stage.addEventListener('pointermove', (event) => this.#moved(event));
    for (const kind of ['pointerup', 'pointercancel']) {
      stage.addEventListener(kind, (event) => {
        this.#pointers.delete(event.pointerId);
        this.#drag = null;
      });
    }
  }

  #key(event) {
    const step = 0.1 * this.#stage.clientWidth;
    const act = {
      ArrowLeft: () => this.#move(step, 0),
      ArrowRight: () => this.#move(-step, 0),
      ArrowUp: () => this.#move(0, step),
      ArrowDown: () => this.#move(0, -step),
      '+': () => this.#zoom(1.5),
      '-': () => this.#zoom(1 / 1.5),
      0: () => this.fit(),
      1: () => this.#zoom(1 / devicePixelRatio / this.#scale),
    }[event.key];
    if (!act || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    act();
  }

  #local({clientX, clientY}) {
    const {left, top} = this.#stage.getBoundingClientRect();
    return {x: clientX - left, y: clientY - top};
  }

  #down(event) {
    if (event.button !== 0 || !this.#size) return;
    const point = this.#local(event);
    this.#pointers.set(event.pointerId, point);
    this.#stage.setPointerCapture(event.pointerId);
    const divider = (this.#split.value / 100) * this.#stage.clientWidth;
    const held = this.#fitted || Math.abs(point.x - divider) < HANDLE;
    this.#drag = this.#pointers.size > 1 ? 'pinch' : held ? 'split' : 'move';
    if (this.#drag === 'split') this.#slideTo(point.x);
  }

  #moved(event) {
    const last = this.#pointers.get(event.pointerId);
    if (!last) return;
    const point = this.#local(event);
    const others = [...this.#pointers].filter(([id]) => id !== event.pointerId);
    this.#pointers.set(event.pointerId, point);
    if (this.#drag === 'split') this.#slideTo(point.x);
    if (this.#drag === 'move') this.#move(point.x - last.x, point.y - last.y);
    if (this.#drag === 'pinch' && others.length) {
      const [, other] = others[0];
      const distance = (p) => Math.hypot(p.x - other.x, p.y - other.y) || 1;
      this.#move((point.x - last.x) / 2, (point.y - last.y) / 2);
      this.#zoom(
        distance(point) / distance(last),
        (point.x + other.x) / 2,
        (point.y + other.y) / 2,
      );
    }
  }
}
