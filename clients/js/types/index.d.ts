export * from "./errors.js";
export { FrameProducer } from "./producer.js";
export { Replies } from "./replies.js";
export { actionsChannel, checkFrame, framesKey, fromMediapipe, pack, parseReply, partitionOf, unpack } from "./wire.js";
export type Frame = import("./wire.js").Frame;
export type Reply = import("./wire.js").Reply;
export type Options = import("./producer.js").Options;
/** @typedef {import("./wire.js").Frame} Frame */
/** @typedef {import("./wire.js").Reply} Reply */
/** @typedef {import("./producer.js").Options} Options */
