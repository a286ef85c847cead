// Calls between the page and its workers: a function's name and arguments over,
// its answer back. Buffers in a `Transfer` go over without a copy.

/** An answer, or an argument list, with buffers to hand over. */
export class Transfer {
  constructor(value, buffers) {
    this.value = value;
    this.buffers = buffers;
  }
}

/** In a worker: answers calls of these functions, one after the other. */
export function serve(functions) {
  let last = Promise.resolve();
  self.addEventListener('message', ({data: {id, name, args}}) => {
    last = last.then(async () => {
      try {
        const found = await functions[name](...args);
        const [value, buffers] =
          found instanceof Transfer ? [found.value, found.buffers] : [found, []];
        self.postMessage({id, value}, buffers);
      } catch (error) {
        self.postMessage({id, error: String(error?.message ?? error)});
      }
    });
  });
}

/** In the page: makes a function `call(name, args, buffers)` of a worker. */
export function connect(worker) {
  const waiting = new Map();
  let count = 0;
  const fail = (message) => {
    for (const {reject} of waiting.values()) reject(new Error(message));
    waiting.clear();
  };
  worker.addEventListener('message', ({data: {id, value, error}}) => {
    const {resolve, reject} = waiting.get(id) ?? {};
    waiting.delete(id);
    if (error === undefined) resolve?.(value);
    else reject?.(new Error(error));
  });
  worker.addEventListener('error', (event) => {
    event.preventDefault();
    fail(event.message || 'A part of the page could not be loaded.');
  });
  return (name, args = [], buffers = []) =>
    new Promise((resolve, reject) => {
      const id = count++;
      waiting.set(id, {resolve, reject});
      worker.postMessage({id, name, args}, buffers);
    });
}
