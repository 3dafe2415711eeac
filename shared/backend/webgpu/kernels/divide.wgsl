// a / b to the nearest f32, half to even, for positive normal a, b and result: WGSL's own division may be off by 2.5 ULP, and a scale
// that is off by one moves integers. Long division of the 24-bit significands.
fn divide(a: f32, b: f32) -> f32 {
  let bitsA = bitcast<u32>(a);
  let bitsB = bitcast<u32>(b);
  var exponent = i32(bitsA >> 23u) - i32(bitsB >> 23u) + 127;
  var rest = (bitsA & 0x7fffffu) | 0x800000u;
  let divisor = (bitsB & 0x7fffffu) | 0x800000u;
  if (rest < divisor) {
    rest <<= 1u;
    exponent--;
  }
  var quotient = 0u;
  for (var digit = 0u; digit < 24u; digit++) {
    quotient <<= 1u;
    if (rest >= divisor) {
      rest -= divisor;
      quotient |= 1u;
    }
    rest <<= 1u; // after the last digit: twice the remainder
  }
  if (rest > divisor || (rest == divisor && (quotient & 1u) == 1u)) { quotient++; }
  // The leading one adds one to the exponent, and so does a quotient that was rounded up to 2^24.
  return bitcast<f32>((u32(exponent - 1) << 23u) + quotient);
}
