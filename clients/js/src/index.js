export * from "./errors.js";
export { FrameProducer } from "./producer.js";
export { Replies } from "./replies.js";
export { actionsChannel, checkFrame, framesKey, fromMediapipe, pack, parseReply, partitionOf, unpack } from "./wire.js";

/** @typedef {import("./wire.js").Frame} Frame */
/** @typedef {import("./wire.js").Reply} Reply */
/** @typedef {import("./producer.js").Options} Options */
