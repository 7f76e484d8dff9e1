// Reference numbers of every head, made in Float64 by independent PyTorch modules with formula weights.
//
// With u(k) the vector of numbers sin(0.37 i + 1.7 (k + 1)) + 0.5 sin(2.71 i (1 + 0.01 k)), i from 1, in official order:
// feature map l is u(100 + l), the logits' gradient u(200). Listed are products with such vectors: logits with u(201), and
// with themselves; the gradient of map l with u(400 + l); the gradient of parameter k, by sorted name, with u(300 + k); the
// sum of the products of running statistic k with u(500 + k).

import Networks
import Testing

/// What one head must give.
struct HeadReference: Sendable, CustomTestStringConvertible {
  let head: String
  let options: HeadOptions
  let logits: [Double]
  let inputs: [Double]
  let parameters: [Double]
  let statistics: Double

  var testDescription: String { "\(head) \(options.fusion.rawValue) \(options.dilations)" }

  static let all = [
    HeadReference(
      head: "daformer", options: HeadOptions(width: 16, dilations: [1, 2, 3]),
      logits: [27.664736, 182.21005],
      inputs: [-13.15824, -0.14544337, 118.18657, -35.47022],
      parameters: [
        0.62948052, 45.424324, 0.26718093, 31.828325, 6.0366749, -87.369161, 45.912514, -236.64103, 121.27582,
        -346.95002, 2.8378701, -2.4397005, 32.007288, 5.7607991, 18.213519, -66.780987, 13.589688, -16.7399,
        187.62567, 4.4824384, 6.5491278, 72.394516, -1.6564624, -4.608364, 75.920546, 4.6284382, -29.754612, -325.4787,
      ], statistics: -4.8459488),
    HeadReference(
      head: "daformer", options: HeadOptions(fusion: .aspp, width: 16, dilations: [1, 2, 3]),
      logits: [24.244213, 219.6721],
      inputs: [-26.654299, 1.6574417, -107.81621, -0.40903971],
      parameters: [
        0.62948052, -27.943572, -0.17562333, 90.09414, -0.29125951, -103.91693, 0.18108114, 27.661997, -0.85937177,
        26.056977, 28.56219, 48.633903, 110.02226, 10.614975, 15.390369, 102.10306, 31.38584, 18.791285, 541.44877,
        -18.003861, -11.66179, 217.24824,
      ], statistics: -1.0740014),
    HeadReference(
      head: "daformer", options: HeadOptions(fusion: .pointwise, width: 16),
      logits: [-38.166464, 201.33857],
      inputs: [37.247392, 0.3734408, -4.2159831, 0.24587082],
      parameters: [
        0.62948052, 366.42079, 0, -92.659934, 0, 34.048975, 0, -4.6530735, 0, 10.90326, 73.888935, -54.819563,
        -66.539475,
      ], statistics: 0.6818403),
    HeadReference(
      head: "daformer", options: HeadOptions(fusion: .isa, width: 16),
      logits: [197.6174, 1498.2198],
      inputs: [-176.82806, 9.5847121, -5.3186366, 2.0563749],
      parameters: [
        0.62948052, 281.58148, 0, 334.58656, 0, 17.522066, 0, -167.29276, 0, -22.706785, -35.097042, 7.4817109,
        -442.20777, -6.9712767, -31.259256, 400.45336, 1.8025203, -18.472564, 417.20989, 0, 377.47496, 7.2381345,
        52.958594, -115.08918, 9.2908274, -11.941153, -205.51889, 5.3494077, -34.052983, 403.50247, -2.9069422,
        23.504349, 195.91919, 0, 482.1113,
      ], statistics: -0.73360905),
    HeadReference(
      head: "daformer", options: HeadOptions(fusion: .coarsestASPP, width: 16, dilations: [1, 2, 3]),
      logits: [-1.638569, 16.805365],
      inputs: [2.4950734, 1.9311723, 11.700771, 0.66829617],
      parameters: [
        0.62948052, -92.047158, 0, -21.660905, 0, -31.223625, 0, -9.5740751, 32.748183, -232.86876, 1.7573641,
        1.016941, -8.5437102, -0.606103, 1.2025772, 16.270522, -0.60136049, -0.10589423, -13.161829, -4.9806485,
        4.7303282, 54.538671, -0.84199071, 3.3254008, -11.533807, 1.1666196, 5.8319635, 119.82636, -103.27324,
        3.3190347, 19.929531,
      ], statistics: -0.61730634),
    HeadReference(
      head: "segformer", options: HeadOptions(width: 16),
      logits: [3.042847, 17.298165],
      inputs: [0.96740029, 0.515768, -12.513251, -0.28883615],
      parameters: [
        0, 0.087024763, 0, -6.9018563, 0, -44.155953, 0, -34.232357, 2.2661338, -1.2776113, -38.189782, 0.50270891,
        -87.147518,
      ], statistics: 0.7042061),
    HeadReference(
      head: "deeplabv2", options: HeadOptions(dilations: [6, 12, 18, 24]),
      logits: [-3.251088, 1.8600652],
      inputs: [0, 0, 0, 2.7993889],
      parameters: [
        1.4457171, -11.771976, -1.6937893, 2.0456055, 4.2711378, -26.291013, -3.1818626, 18.815685,
      ], statistics: 0),
    HeadReference(
      head: "deeplabv2", options: HeadOptions(dilations: [2, 4]),
      logits: [-0.97129589, 2.0857585],
      inputs: [0, 0, 0, -2.8677145],
      parameters: [
        1.4457171, -11.438199, -1.6937893, 5.0650291,
      ], statistics: 0),
    HeadReference(
      head: "upernet", options: HeadOptions(width: 16),
      logits: [-21.327548, 541.15474],
      inputs: [29.059716, 3.0456375, -17.975526, 26.361826],
      parameters: [
        -0.86727734, -2.8102044, -48.652028, -2.9570296, -47.214341, 4.3255452, 7.3207953, 151.45446, 9.887094,
        -2.4739534, -701.54184, 16.239103, 10.656967, 65.839825, -1.4695746, -2.3035622, -130.08632, 9.6381492,
        19.153092, -88.414951, -1.6811426, 2.98707, -22.676917, 9.2029914, 2.4068632, 17.600701, -1.7484096, 3.512747,
        11.379205, 3.2528024, -4.7735982, 105.07541, 0.23155251, 2.5954002, -81.308988, -4.6352328, -0.22231369,
        -36.850335,
      ], statistics: -3.8119231),
  ]
}
