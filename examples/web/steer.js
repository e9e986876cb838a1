// MediaPipe's Hand Landmarker in a page, and the moves that a gateway answers with. See README.md.

import { FilesetResolver, HandLandmarker } from "@mediapipe/tasks-vision";
import { fromMediapipe, pack } from "gesture-maze/wire";

const WASM = "https://cdn.jsdelivr.net/npm/@mediapipe/tasks-vision@1.1.0/wasm";
const MODEL =
  "https://storage.googleapis.com/mediapipe-models/hand_landmarker/hand_landmarker/float16/1/hand_landmarker.task";
const GATEWAY = new URLSearchParams(location.search).get("gateway") ?? "ws://127.0.0.1:8000/play";
const AGAIN_MS = 1000;

const video = document.getElementById("video");
const show = (id, text) => (document.getElementById(id).textContent = text);

let socket;
let welcome = null; // the gateway's first message: session, token, the first seq, frames per second
let token = null; // resumes the session after a lost connection
let seq = 0;

function connect() {
  socket = new WebSocket(GATEWAY);
  socket.onopen = () => socket.send(JSON.stringify({ type: "hello", name: "web", token }));
  socket.onmessage = ({ data }) => receive(JSON.parse(data));
  socket.onclose = () => {
    welcome = null;
    show("state", `No connection to ${GATEWAY}: is the gateway running, with this page in its --origins?`);
    setTimeout(connect, AGAIN_MS);
  };
}

function receive(message) {
  if (message.type === "welcome") {
    ({ token, seq } = message);
    welcome = message;
    show("state", "Show a gesture: like, dislike, three or four fingers.");
  } else if (message.type === "refused") {
    console.warn(message.reason, message.detail);
    if (!welcome) show("state", message.detail);
  } else if (message.v === 1 && message.move) {
    show("move", `${message.move} (${message.gesture ?? "no gesture"})`); // in a game: act on it
  }
}

/** Send what MediaPipe found in one picture, a hand or none. */
function send(result, capturedMs) {
  if (!welcome || socket.readyState !== WebSocket.OPEN || socket.bufferedAmount > 0) return;
  const hand = fromMediapipe(result, { imageSize: [video.videoWidth, video.videoHeight] });
  const { m, l } = pack([{ session: welcome.session, seq: seq++, t: capturedMs, ...hand }]);
  socket.send(new Blob([m, l])); // 24 + 252 bytes
}

async function film() {
  const vision = await FilesetResolver.forVisionTasks(WASM);
  const landmarker = await HandLandmarker.createFromOptions(vision, {
    baseOptions: { modelAssetPath: MODEL },
    runningMode: "VIDEO",
  });
  video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480, frameRate: 30 } });
  await video.play();
  let lastMs = 0;
  const look = (nowMs) => {
    // a camera may be faster than the gateway takes frames
    if (nowMs - lastMs >= 900 / (welcome?.fps ?? 30)) {
      lastMs = nowMs;
      send(landmarker.detectForVideo(video, nowMs), Date.now());
    }
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
}

connect();
film().catch((fault) => show("state", `The camera or the tracker does not work: ${fault.message}`));
