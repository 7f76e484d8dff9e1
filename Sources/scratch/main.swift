import Kernels
import Tensors
import Support
import Foundation
func now() -> Double { var t = timespec(); clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); return Double(t.tv_sec) + 1e-9 * Double(t.tv_nsec) }
func best(_ name: String, flops: Double = 0, _ n: Int = 7, _ f: () -> Void) {
  var b = 1e9
  for _ in 0..<n { let t = now(); f(); b = min(b, now() - t) }
  print(name, String(format: "%.2f ms  %.1f GF/s", b * 1e3, flops / b / 1e9))
}
func rnd(_ shape: Shape) -> Tensor { let t = Tensor(zeros: shape); var s: UInt32 = 1; for i in 0..<t.count { s = s &* 1664525 &+ 1013904223; t.pointer[i] = Float(s >> 8) / 16777216 - 0.5 }; return t }
WorkerPool.configure(threads: 1)
for (n, h) in [(1, 32), (9, 32), (1, 64)] {
  let x = rnd([n, h, h, 1024]), w = rnd([3, 3, 1024, 256]), g = rnd([n, h, h, 256])
  let geo = ConvolutionGeometry(kernel: 3)
  let fl = 2.0 * 9 * 1024 * 256 * Double(n * h * h)
  best("conv3x3 \(n)x\(h) forward", flops: fl) { _ = convolution(x, weight: w, geo) }
  best("   input gradient", flops: fl) { _ = convolutionInputGradient(g, weight: w, height: h, width: h, geo) }
  let slots = GradientSlots(zeros: w.count, samples: n)
  best("   weight gradient", flops: fl) { convolutionWeightGradient(x, g, into: slots, geo) }
  if CommandLine.arguments.count > 1 { continue }
  let dw = rnd([3, 3, 1, 1024])
  let by = Double(8 * x.count)
  for d in [1, 6, 12, 18] {
    best("   depthwise d\(d) (GB/s)", flops: by) { _ = depthwiseConvolution(x, weight: dw, bias: nil, dilation: d) }
  }
  best("   depthwise d6 dx (GB/s)", flops: by) { _ = depthwiseConvolutionInputGradient(x, weight: dw, dilation: 6) }
  let ds = GradientSlots(zeros: dw.count, samples: n)
  best("   depthwise d6 dw (GB/s)", flops: by) { depthwiseConvolutionWeightGradient(x, gradient: x, kernel: 3, dilation: 6, weightSlots: ds, biasSlots: nil) }
  let w1 = rnd([1024, 256])
  best("   linear 1024->256", flops: fl / 9) { _ = linear(x, weight: w1, bias: nil) }
  best("   linear dx", flops: fl / 9) { _ = linearInputGradient(g, weight: w1) }
  let ls = GradientSlots(zeros: w1.count, samples: n)
  best("   linear dw", flops: fl / 9) { linearWeightGradient(x, g, into: ls) }
  best("   bn sums (GB/s)", flops: by / 2) { _ = batchNormSums(x) }
  let one = [Float](repeating: 1, count: 1024), t1 = rnd([1024])
  best("   bn apply (GB/s)", flops: by) { _ = batchNormApply(x, mean: one, inverseDeviation: one, scale: t1, shift: t1, relu: true) }
}
