// Runs the hand tracker over the chosen files; landmarks/browser.py calls the functions of `extract`.

const video = document.getElementById("video");
/** Longest side of what the tracker looks at, in pixels. */
const LARGEST = 1280;
/** Frames played to measure the frame rate, and the longest time for it. */
const MEASURED_FRAMES = 60;
const MEASURE_MS = 4000;
const SEEK_MS = 10_000;
/** Usual frame rates; a measured one this near is taken for it. */
const RATES = [5, 10, 12, 12.5, 15, 20, 24000 / 1001, 24, 25, 30000 / 1001, 30, 48, 50, 60000 / 1001, 60, 90, 120, 240];
const NEAR = 0.0004;
const ROUGHLY = 0.02;

let hands = null;
let found = null;
let picture = null;

function once(target, good, bad, ms, what) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${what} took more than ${ms / 1000} s`)), ms);
    const done = (settle, value) => {
      clearTimeout(timer);
      settle(value);
    };
    target.addEventListener(good, () => done(resolve), { once: true });
    if (bad) target.addEventListener(bad, () => done(reject, new Error(`${what} failed`)), { once: true });
  });
}

function file(at) {
  return document.getElementById("files").files[at];
}

/** The image, scaled down if it is larger than the tracker needs. */
function canvasOf(image, width, height) {
  const scale = Math.min(1, LARGEST / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas;
}

async function look(image, width, height) {
  found = null;
  await hands.send({ image: canvasOf(image, width, height) });
  const landmarks = found?.multiHandLandmarks ?? [];
  return landmarks.map((points, at) => ({
    points: points.map((point) => [point.x, point.y, point.z]),
    label: found.multiHandedness?.[at]?.label ?? "",
  }));
}

/** Frames per second, from the times of frames while the video plays; null if none are shown. */
async function measure() {
  const times = [];
  const began = performance.now();
  video.playbackRate = 0.5;
  await video.play();
  await new Promise((resolve) => {
    const step = (_now, frame) => {
      times.push(frame.mediaTime);
      if (times.length > MEASURED_FRAMES || performance.now() - began > MEASURE_MS) resolve();
      else video.requestVideoFrameCallback(step);
    };
    video.requestVideoFrameCallback(step);
    video.addEventListener("ended", resolve, { once: true });
    setTimeout(resolve, MEASURE_MS);
  });
  video.pause();
  // a busy machine leaves frames out, so the shortest gap is the one between neighbours
  const gaps = times.slice(1).map((time, at) => time - times[at]).filter((gap) => gap > 0.001);
  if (!gaps.length) return null;
  const shortest = Math.min(...gaps);
  const near = gaps.filter((gap) => gap < shortest * 1.1);
  const rate = near.length / near.reduce((sum, gap) => sum + gap, 0);
  const exact = RATES.find((usual) => Math.abs(usual / rate - 1) < NEAR);
  return exact ?? RATES.find((usual) => Math.abs(usual / rate - 1) < ROUGHLY) ?? rate;
}

window.extract = {
  async open({ model, most }) {
    hands = new Hands({ locateFile: (name) => `tracker/${name}` });
    hands.setOptions({
      maxNumHands: most,
      modelComplexity: model,
      minDetectionConfidence: 0.6,
      minTrackingConfidence: 0.5,
      selfieMode: false,
      useCpuInference: true,
    });
    hands.onResults((results) => {
      found = results;
    });
    await hands.initialize();
  },

  /** Begin a video. @returns {Promise<object | null>} size, seconds and frame rate; null if it cannot be played */
  async video(at) {
    hands.reset();
    video.src = URL.createObjectURL(file(at));
    try {
      await once(video, "loadeddata", "error", SEEK_MS, "loading the video");
    } catch {
      return null;
    }
    if (!video.videoWidth || !Number.isFinite(video.duration)) return null;
    const fps = await measure();
    return { width: video.videoWidth, height: video.videoHeight, seconds: video.duration, fps };
  },

  /** The hands at a time of the video, in seconds. */
  async at(seconds) {
    if (Math.abs(video.currentTime - seconds) > 1e-6) {
      const sought = once(video, "seeked", "error", SEEK_MS, "seeking");
      video.currentTime = seconds;
      await sought;
    }
    return look(video, video.videoWidth, video.videoHeight);
  },

  /** The hands of a picture, with its size; null if it is not a picture. */
  async picture(at) {
    picture = new Image();
    picture.src = URL.createObjectURL(file(at));
    try {
      await picture.decode();
    } catch {
      return null;
    }
    hands.reset(); // each picture by itself
    const shown = await look(picture, picture.naturalWidth, picture.naturalHeight);
    URL.revokeObjectURL(picture.src);
    return { width: picture.naturalWidth, height: picture.naturalHeight, hands: shown };
  },
};
