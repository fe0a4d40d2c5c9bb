// Calls between the page and its worker, by messages.

/** Answers calls with the methods of an object. */
export function answer(methods) {
  self.onmessage = async ({data: {id, name, args}}) => {
    try {
      const result = await methods[name](...args);
      const transfer = result instanceof ImageBitmap ? [result] : [];
      self.postMessage({id, result}, transfer);
    } catch (error) {
      self.postMessage({id, error: error.message});
    }
  };
}

/**
 * Returns an object whose methods call those of a worker.
 *
 * @param worker The worker.
 * @param onEvent Called with what the worker sends on its own.
 */
export function callsTo(worker, onEvent) {
  const waiting = new Map();
  let count = 0;
  worker.onmessage = ({data}) => {
    if (!('id' in data)) return onEvent(data);
    const {resolve, reject} = waiting.get(data.id);
    waiting.delete(data.id);
    if ('error' in data) reject(new Error(data.error));
    else resolve(data.result);
  };
  return new Proxy({}, {
    get: (_, name) => (...args) => new Promise((resolve, reject) => {
      waiting.set(++count, {resolve, reject});
      worker.postMessage({id: count, name, args});
    }),
  });
}
