/**
 * The error function to full double precision: rational approximations after W. J. Cody (1969), "Rational Chebyshev
 * approximations for the error function", with the coefficients of FreeBSD's s_erf.c (Copyright (C) 1993 by Sun
 * Microsystems, Inc.; permission to use, copy, modify, and distribute is freely granted, provided that this notice is
 * preserved). Coefficients stand in order of rising powers.
 */

const SMALL_OVER = [
  0.12837916709551256, -0.3250421072470015, -0.02848174957559851, -0.005770270296489442,
  -2.3763016656650163e-5,
];
const SMALL_UNDER = [
  1, 0.39791722395915535, 0.0650222499887673, 0.005081306281875766, 0.00013249473800432164,
  -3.960228278775368e-6,
];
const MIDDLE_OVER = [
  -0.0023621185607526594, 0.41485611868374833, -0.3722078760357013, 0.31834661990116175,
  -0.11089469428239668, 0.035478304325618236, -0.002166375594868791,
];
const MIDDLE_UNDER = [
  1, 0.10642088040084423, 0.540397917702171, 0.07182865441419627, 0.12617121980876164,
  0.01363708391202905, 0.011984499846799107,
];
const NEAR_OVER = [
  -0.009864944034847148, -0.6938585727071818, -10.558626225323291, -62.375332450326006,
  -162.39666946257347, -184.60509290671104, -81.2874355063066, -9.814329344169145,
];
const NEAR_UNDER = [
  1, 19.651271667439257, 137.65775414351904, 434.56587747522923, 645.3872717332679,
  429.00814002756783, 108.63500554177944, 6.570249770319282, -0.0604244152148581,
];
const FAR_OVER = [
  -0.0098649429247001, -0.799283237680523, -17.757954917754752, -160.63638485582192,
  -637.5664433683896, -1025.0951316110772, -483.5191916086514,
];
const FAR_UNDER = [
  1, 30.33806074348246, 325.7925129965739, 1536.729586084437, 3199.8582195085955,
  2553.0504064331644, 474.52854120695537, -22.44095244658582,
];

/** erf(1), rounded to the 24 bits that {@link MIDDLE_OVER} starts from. */
const AT_ONE = 0.8450629115104675;

/** erf(x). */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a < 0.84375) {
    const z = x * x;
    return x + x * (polynomial(SMALL_OVER, z) / polynomial(SMALL_UNDER, z));
  }
  if (a < 6) return x < 0 ? -upper(a) : upper(a);
  return Number.isNaN(x) ? x : Math.sign(x);
}

function upper(a: number): number {
  if (a < 1.25) return AT_ONE + polynomial(MIDDLE_OVER, a - 1) / polynomial(MIDDLE_UNDER, a - 1);
  const s = 1 / (a * a);
  const ratio =
    a < 1 / 0.35
      ? polynomial(NEAR_OVER, s) / polynomial(NEAR_UNDER, s)
      : polynomial(FAR_OVER, s) / polynomial(FAR_UNDER, s);
  // exp(−a²) with a² split into a part that is exact, the square of 24 bits, and a small rest.
  const z = Math.fround(a);
  return 1 - (Math.exp(-z * z - 0.5625) * Math.exp((z - a) * (z + a) + ratio)) / a;
}

function polynomial(coefficients: readonly number[], x: number): number {
  let value = 0;
  for (let k = coefficients.length - 1; k >= 0; k--)
    value = value * x + (coefficients[k] as number);
  return value;
}
