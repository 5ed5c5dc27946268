// Bytes that are given away instead of copied.
//
// heddle's own memory (`alloc`, and whatever was received by a move) goes from isolate to isolate,
// fiber and kernel as it is. Node-API cannot take the memory of other buffers: theirs is copied
// once, and then detached, so that it reads the same to the giver.
import { binding } from './binding.js';
import { describe, HeddleError, nativeError } from './errors.js';
import { wholeNumber } from './refuse.js';

const blocks = new WeakSet<ArrayBuffer>();

/** From now on the buffer counts as heddle's own. */
export function noteBlock<T extends ArrayBuffer | ArrayBufferView>(bytes: T): T {
  blocks.add(ArrayBuffer.isView(bytes) ? (bytes.buffer as ArrayBuffer) : bytes);
  return bytes;
}

function expectBytes(caller: string, bytes: unknown): void {
  if (ArrayBuffer.isView(bytes) || bytes instanceof ArrayBuffer) return;
  throw new HeddleError('ERR_HEDDLE_VALUE', `${caller}: expected bytes, got ${describe(bytes)}`);
}

const kMostBytes = 2 ** 32;

/** Bytes of heddle's own, zeroed, that `move` gives away without a copy; 0 to 2³² of them. */
export function alloc(byteLength: number): Uint8Array {
  wholeNumber(byteLength, 'byteLength', 0, kMostBytes);
  const buffer = binding.allocate(byteLength);
  if (buffer === undefined) throw nativeError('ERR_HEDDLE_MEMORY');
  return new Uint8Array(noteBlock(buffer));
}

/**
 * Gives heddle's own memory back now, not when the collector finds it; here it is gone (its buffer
 * is detached). Whoever receives many large blocks keeps the next `alloc` quick by it. Other memory
 * is left to the collector.
 */
export function free(bytes: ArrayBufferView | ArrayBuffer): void {
  expectBytes('free', bytes);
  if (!isBlock(bytes)) return;
  binding.free(bytes);
  leave(bytes, true);
}

// Whether something may still be on its way to a local channel, inside an object.
let isRecent = false;

/** What `move` gives; it arrives as the bytes that it stands for. */
export class Moved<T extends ArrayBufferView | ArrayBuffer> {
  /** @internal */
  readonly bytes: T;
  constructor(bytes: T) {
    this.bytes = bytes;
  }
}

/**
 * Gives bytes away: wherever the result is sent, they arrive there, and here they are gone (their
 * buffer is detached). A view of a part of its buffer, such as a pooled Buffer, is only copied.
 *
 * @example
 * await spawn(kernels.sha256, move(bytes));
 */
export function move<T extends ArrayBufferView | ArrayBuffer>(bytes: T): T {
  expectBytes('move', bytes);
  if (ArrayBuffer.isView(bytes) && bytes.buffer instanceof SharedArrayBuffer) {
    throw new HeddleError(
      'ERR_HEDDLE_VALUE',
      `move: expected bytes that are not shared, got ${describe(bytes)} on a SharedArrayBuffer`,
    );
  }
  if (!isRecent) {
    isRecent = true;
    queueMicrotask(() => {
      isRecent = false;
    });
  }
  return new Moved(bytes) as unknown as T;
}

/** Whether the bytes are all of their buffer, so that this may be detached. */
function isWhole(bytes: ArrayBufferView | ArrayBuffer): boolean {
  return !ArrayBuffer.isView(bytes) || bytes.byteLength === bytes.buffer.byteLength;
}

/** Whether they can go as they are. */
export function isBlock(bytes: ArrayBufferView | ArrayBuffer): boolean {
  return ArrayBuffer.isView(bytes)
    ? isWhole(bytes) && blocks.has(bytes.buffer as ArrayBuffer)
    : blocks.has(bytes);
}

/**
 * A value for a local channel: what is given away in it, plain objects and arrays, is there then.
 */
export function settleHere(value: unknown): unknown {
  if (value instanceof Moved) return moveHere(value as Moved<ArrayBuffer>);
  if (isRecent && typeof value === 'object' && value !== null) settleInside(value, new Set());
  return value;
}

function settleInside(object: object, seen: Set<object>): void {
  const prototype = Object.getPrototypeOf(object) as unknown;
  if (seen.has(object) || !(prototype === Object.prototype || Array.isArray(object))) return;
  seen.add(object);
  for (const [key, each] of Object.entries(object) as [string, unknown][]) {
    if (each instanceof Moved) {
      (object as Record<string, unknown>)[key] = moveHere(each as Moved<ArrayBuffer>);
    } else if (typeof each === 'object' && each !== null) {
      settleInside(each, seen);
    }
  }
}

/**
 * For whoever stays in this isolate: the bytes in a buffer of their own, and the giver's is gone.
 */
function moveHere<T extends ArrayBufferView | ArrayBuffer>({ bytes }: Moved<T>): T {
  if (!isWhole(bytes)) return structuredClone(bytes);
  const buffer = (ArrayBuffer.isView(bytes) ? bytes.buffer : bytes) as ArrayBuffer;
  if (!blocks.has(buffer)) return structuredClone(bytes, { transfer: [buffer] });
  const arrived = binding.carry(bytes);
  leave(bytes, true);
  return noteBlock(arrived);
}

/** After they have been given to native code, which has taken them or not. */
export function leave(bytes: ArrayBufferView | ArrayBuffer, wasTaken: boolean): void {
  const buffer = ArrayBuffer.isView(bytes) ? bytes.buffer : bytes;
  const goes = wasTaken && isWhole(bytes) && buffer instanceof ArrayBuffer;
  binding.leave(goes ? buffer : undefined);
}
