// The form of a message: what lib/encode.ts writes and lib/decode.ts reads. Every value begins with
// a tag; lengths, counts and references are words of 4 bytes, lowest first.
export const Tag = {
  undefined: 0,
  null: 1,
  true: 2,
  false: 3,
  int32: 4,
  double: 5,
  latin1: 6,
  utf16: 7,
  array: 8,
  object: 9,
  bigint: 10,
  bytes: 11,
  handle: 12,
  same: 13,
  map: 14,
  set: 15,
  date: 16,
  regExp: 17,
  error: 18,
} as const;

/** By the number that stands for each. */
export const kViews = [
  ArrayBuffer,
  DataView,
  Uint8Array,
  Uint8ClampedArray,
  Int8Array,
  Uint16Array,
  Int16Array,
  Uint32Array,
  Int32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
] as const;

/** A number and its bytes. */
export const doubleValue = new Float64Array(1);
export const doubleBytes = new Uint8Array(doubleValue.buffer);

/** Strings up to so many units are copied in a loop, which costs less than a call. */
export const kShort = 32;
