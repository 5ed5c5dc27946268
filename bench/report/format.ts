// Numbers as people read them; used by the table on the terminal and by the HTML report.

/** Three significant digits, grouped thousands: 0.0123, 3.21, 45.6, 1,234. */
export function formatNumber(value: number, whole = false): string {
  const size = Math.abs(value);
  if (whole || size >= 1000) return Math.round(value).toLocaleString('en-US');
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  if (size >= 1 || size === 0) return value.toFixed(size === 0 ? 0 : 2);
  return size >= 0.1 ? value.toFixed(2) : String(Number(value.toPrecision(2)));
}

/** A mark on an axis: 0.01, 1, 1,000. */
export function formatTick(value: number): string {
  return value >= 1 ? value.toLocaleString('en-US') : String(Number(value.toPrecision(3)));
}

export function formatCount(n: number): string {
  return n.toLocaleString('en-US');
}

/** 0.21×, 3.4×, 1,280×. */
export function formatRatio(value: number | undefined): string {
  if (value === undefined) return '';
  if (value === 1) return '1×';
  return `${formatNumber(value)}×`;
}

/** Bytes in the binary unit that fits: 4 KiB, 1.5 MiB. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const text = Number.isInteger(value) ? formatCount(value) : formatNumber(value);
  return `${text} ${units[unit]}`;
}

/** The count column of a scenario: bytes of stack read better in KiB. */
export function formatCountOf(scenario: string, n: number): string {
  return scenario === 'stack' ? formatBytes(n) : formatCount(n);
}

export function formatDuration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
