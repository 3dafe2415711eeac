/**
 * The memory roof: reads `n` bytes (a multiple of 128) with v128 loads, in two streams as the kernels do, and keeps nothing but their xor.
 * Benches measure against it.
 */
export function readLoop(p: usize, n: usize, result: usize): void {
  let a = i32x4.splat(0), b = a, c = a, d = a;
  const half = n >> 1;
  for (let end = p + half; p < end; p += 64) {
    const q = p + half;
    a = v128.xor(a, v128.xor(v128.load(p), v128.load(q)));
    b = v128.xor(b, v128.xor(v128.load(p, 16), v128.load(q, 16)));
    c = v128.xor(c, v128.xor(v128.load(p, 32), v128.load(q, 32)));
    d = v128.xor(d, v128.xor(v128.load(p, 48), v128.load(q, 48)));
  }
  v128.store(result, v128.xor(v128.xor(a, b), v128.xor(c, d)));
}
