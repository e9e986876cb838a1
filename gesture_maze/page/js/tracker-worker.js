/**
 * MediaPipe Hands off the main thread. A classic worker, because `importScripts` is what its loader needs.
 *
 * The library's own path for workers does not load the landmark model, so this file gives its path for pages the
 * three things of a page that it uses: `window`, script elements and a canvas.
 */

/** @typedef {{ options: Record<string, unknown> }} Open */

const scope = /** @type {any} */ (self);

scope.window = scope;
scope.alert = (/** @type {string} */ words) => {
  throw new Error(words);
};
scope.document = {
  /** @param {string} kind */
  createElement(kind) {
    if (kind !== "canvas") return scriptElement();
    const canvas = /** @type {any} */ (new OffscreenCanvas(1, 1));
    canvas.style = {};
    canvas.addEventListener("webglcontextlost", () => postMessage({ kind: "lost" }));
    return canvas;
  },
  body: { appendChild: load },
  addEventListener() {},
  removeEventListener() {},
};

function scriptElement() {
  return {
    src: "",
    /** @type {Record<string, () => void>} */
    events: {},
    /** @param {string} name @param {string} value */
    setAttribute(name, value) {
      if (name === "src") this.src = value;
    },
    /** @param {string} kind @param {() => void} call */
    addEventListener(kind, call) {
      this.events[kind] = call;
    },
  };
}

/** @param {ReturnType<typeof scriptElement>} script */
function load(script) {
  scope.importScripts(script.src);
  script.events.load?.();
}

/** @type {any} */
let hands = null;
/** @type {unknown} */
let found = null;

/** @param {{ base: string, options: Record<string, unknown> }} wanted */
async function open({ base, options }) {
  scope.importScripts(`${base}hands.js`);
  hands = new scope.Hands({ locateFile: (/** @type {string} */ file) => base + file });
  hands.setOptions(options);
  hands.onResults((/** @type {any} */ results) => {
    found = { landmarks: results.multiHandLandmarks ?? [], handedness: results.multiHandedness ?? [] };
  });
  await hands.initialize();
  postMessage({ kind: "ready" });
}

/** @param {ImageBitmap} image */
async function look(image) {
  found = null;
  try {
    await hands.send({ image });
  } finally {
    image.close();
  }
  postMessage({ kind: "found", found });
}

onmessage = async (/** @type {MessageEvent<any>} */ { data }) => {
  try {
    if (data.kind === "open") await open(data);
    else if (data.kind === "options") hands.setOptions(data.options);
    else await look(data.image);
  } catch (fault) {
    postMessage({ kind: "failed", detail: String(fault) });
  }
};
