// Reference numbers of encoders with weights that are a formula of tensor and element (see `hashed`), from a float64 run
// of PyTorch: of each tensor its norm and its product with hashed numbers. Maps are [N, H, W, C], gradients have the
// official order; the loss is the sum over maps of the mean of map times hashed numbers, times the root of the count.

/// Norm and product with hashed numbers of one tensor.
typealias Reference = (name: String, norm: Double, product: Double)

/// ResNet-50, batch statistics.
let residualTraining: [Reference] = [
  ("map 0", 380.41929, -131.78728),
  ("map 1", 282.6677, 132.03551),
  ("map 2", 436.55611, 67.306089),
  ("map 3", 532.36402, 40.196083),
  ("stem.0.weight", 48.192746, -40.70165),
  ("stem.1.bias", 7.3649282, -1.3674898),
  ("stem.4.running_var", 5.5369605, -2.7169738),
  ("layer1.0.downsample.1.weight", 3.2063468, 1.0194935),
  ("layer2.0.conv2.weight", 20.598092, 6.5575089),
  ("layer2.3.bn3.running_mean", 1.7320759, -1.7031657),
  ("layer3.0.conv2.weight", 15.890915, 8.5325054),
  ("layer3.5.conv2.weight", 11.267434, 8.0639079),
  ("layer4.0.conv2.weight", 8.9623841, 2.6362536),
  ("layer4.2.bn3.weight", 0.4817212, -0.60954244),
  ("layer4.2.conv1.weight", 6.6413387, -0.68011694),
]

/// ResNet-50, running statistics.
let residualEvaluation: [Reference] = [
  ("map 0", 1817.8267, -1856.611),
  ("map 1", 1938.1274, 527.92397),
  ("map 2", 4055.4011, 601.65781),
  ("map 3", 6744.6102, -5384.6689),
  ("stem.0.weight", 18.758564, 7.8506265),
  ("stem.1.bias", 3.4041863, -1.4509807),
  ("layer1.0.downsample.1.weight", 6.3317911, 0.9862937),
  ("layer2.0.conv2.weight", 49.677506, -0.49721474),
  ("layer3.0.conv2.weight", 70.348398, -92.982609),
  ("layer3.5.conv2.weight", 111.81003, 73.730178),
  ("layer4.0.conv2.weight", 79.961189, 1.7980074),
  ("layer4.2.bn3.weight", 5.6361002, -6.9007803),
  ("layer4.2.conv1.weight", 61.946057, -46.249049),
]

/// EfficientNet-Lite0, batch statistics.
let efficientTraining: [Reference] = [
  ("map 0", 60.964783, 81.809742),
  ("map 1", 37.309001, 32.433715),
  ("map 2", 43.388012, 31.515407),
  ("map 3", 23.360487, -5.0288865),
  ("_conv_stem.weight", 62.901637, -48.380479),
  ("_bn0.bias", 7.2347341, -0.38718258),
  ("_blocks.0._depthwise_conv.weight", 28.779711, 18.776553),
  ("_blocks.1._depthwise_conv.weight", 19.815468, -10.604634),
  ("_blocks.3._depthwise_conv.weight", 17.430759, 9.541707),
  ("_blocks.4._depthwise_conv.weight", 10.265287, -0.20897167),
  ("_blocks.5._bn1.running_var", 16.508935, -9.4239361),
  ("_blocks.10._bn1.weight", 0.4372854, -0.0078876344),
  ("_blocks.11._depthwise_conv.weight", 2.2032984, 0.058597644),
  ("_blocks.14._expand_conv.weight", 2.0691219, -0.69845366),
  ("_blocks.15._bn2.running_mean", 1.0141328, -0.99625311),
]

/// EfficientNet-Lite0, running statistics.
let efficientEvaluation: [Reference] = [
  ("map 0", 28.019839, 3.8054245),
  ("map 1", 15.813113, 12.633346),
  ("map 2", 13.375284, 9.5808031),
  ("map 3", 6.9540639, 6.403932),
  ("_conv_stem.weight", 0.46302179, 0.022239987),
  ("_bn0.bias", 0.13417317, -0.12843314),
  ("_blocks.0._depthwise_conv.weight", 0.2347795, -0.077913311),
  ("_blocks.1._depthwise_conv.weight", 0.20891495, -0.15291138),
  ("_blocks.3._depthwise_conv.weight", 0.26602494, -0.12191955),
  ("_blocks.4._depthwise_conv.weight", 0.14314777, 0.11477095),
  ("_blocks.10._bn1.weight", 0.03758467, -0.0083683126),
  ("_blocks.11._depthwise_conv.weight", 0.066014158, -0.084356293),
  ("_blocks.14._expand_conv.weight", 0.092455343, -0.025006824),
]
