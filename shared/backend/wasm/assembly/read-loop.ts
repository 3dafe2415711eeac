/** The memory roof: reads `n` bytes (a multiple of 64) with v128 loads and keeps nothing but their xor. Benches measure against it. */
export function readLoop(p: usize, n: usize, result: usize): void {
  let a = i32x4.splat(0), b = a, c = a, d = a;
  for (let end = p + n; p < end; p += 64) {
    a = v128.xor(a, v128.load(p));
    b = v128.xor(b, v128.load(p, 16));
    c = v128.xor(c, v128.load(p, 32));
    d = v128.xor(d, v128.load(p, 48));
  }
  v128.store(result, v128.xor(v128.xor(a, b), v128.xor(c, d)));
}
