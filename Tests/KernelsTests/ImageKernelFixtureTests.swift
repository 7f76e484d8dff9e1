// Depthwise convolution, resizing, feature distance and augmentation against the reference numbers.

import Kernels
import Tensors
import TestSupport
import Testing

extension KernelTests {
  @Suite(.enabled(if: hasSharedFolder, "needs ../shared")) struct ImageKernelFixtureTests {
    static let dilations = [1, 6, 12, 18]

    @Test("depthwise convolution and its gradients", arguments: dilations)
    func depthwise(_ dilation: Int) throws {
      let fixture = try #require(try FixtureFile("ops"))
      let group = dilation == 1 ? "depthwise3x3" : "depthwise3x3_dilation\(dilation)"
      let x = try fixture.tensor("\(group)/input")
      // The file calls these weights NCHW, after their rank only.
      let (official, shape) = try fixture.floats("\(group)/weight")
      let weight = oihwToHWIO(official, shape)
      let upstream = try fixture.tensor("\(group)/grad_output")
      let bias = dilation == 1 ? try fixture.tensor("\(group)/bias") : nil
      let y = depthwiseConvolution(x, weight: weight, bias: bias, dilation: dilation)
      #expect(try fixture.timesAllowed(y, "\(group)/output") <= 1)
      let dx = depthwiseConvolutionInputGradient(upstream, weight: weight, dilation: dilation)
      #expect(try fixture.timesAllowed(dx, "\(group)/grad_input") <= 1)
      let slots = GradientSlots(zeros: weight.count, samples: x.samples)
      let biasSlots = bias.map { GradientSlots(zeros: $0.count, samples: x.samples) }
      depthwiseConvolutionWeightGradient(
        x, gradient: upstream, kernel: 3, dilation: dilation, weightSlots: slots, biasSlots: biasSlots)
      let weightGradient = permuted(Self.sum(slots, weight.shape).values, weight.shape.array, [3, 2, 0, 1])
      #expect(try fixture.timesAllowed(weightGradient.values, "\(group)/grad_weight") <= 1)
      if let biasSlots {
        #expect(try fixture.timesAllowed(Self.sum(biasSlots, [biasSlots.count]), "\(group)/grad_bias") <= 1)
      }
    }

    private static func sum(_ slots: GradientSlots, _ shape: Shape) -> Tensor {
      let values = (0..<slots.count).map { element in
        (0..<slots.samples).reduce(Float(0)) { $0 + slots.pointer($1)[element] }
      }
      return Tensor(values, shape)
    }

    @Test("bilinear resizing and its adjoint", arguments: ["up2", "up_odd", "down2", "down_odd"], [false, true])
    func resizing(_ tag: String, _ alignCorners: Bool) throws {
      let fixture = try #require(try FixtureFile("ops"))
      let group = "bilinear_\(tag)_align\(alignCorners ? 1 : 0)"
      let (x, upstream) = (try fixture.tensor("\(group)/input"), try fixture.tensor("\(group)/grad_output"))
      let y = bilinear(x, height: upstream.shape[1], width: upstream.shape[2], alignCorners: alignCorners)
      #expect(try fixture.timesAllowed(y, "\(group)/output") <= 1)
      let dx = bilinearGradient(upstream, height: x.shape[1], width: x.shape[2], alignCorners: alignCorners)
      #expect(try fixture.timesAllowed(dx, "\(group)/grad_input") <= 1)
    }

    @Test("feature distance, its cells and gradient")
    func distance() throws {
      let fixture = try #require(try FixtureFile("ops"))
      let (feature, frozen) = (
        try fixture.tensor("feature_distance/feature"), try fixture.tensor("feature_distance/frozen")
      )
      // The file names its thing classes in the note on the loss.
      let things: Set<UInt8> = [3, 4, 5]
      let reduced = dominantLabels(
        try fixture.labels("feature_distance/label"), factor: 64, minimumShare: 0.75, classCount: 7)
      let expected = try fixture.labels("feature_distance/cell_label")
      #expect(reduced == expected)
      let cells = reduced.values.map { things.contains($0) ? UInt8(1) : 0 }
      let count = cells.reduce(0) { $0 + Int($1) }
      let sum = featureDistanceSums(feature, reference: frozen, cells: cells).reduce(0, +)
      #expect(try fixture.timesAllowed([Float(sum / Double(count))], "feature_distance/loss") <= 1)
      let gradient = featureDistanceGradient(feature, reference: frozen, cells: cells, factor: 1 / Float(count))
      #expect(try fixture.timesAllowed(gradient, "feature_distance/grad_feature") <= 1)
    }

    @Test("normalisation and every jitter operation")
    func jitter() throws {
      let fixture = try #require(try FixtureFile("augment"))
      let raw = try fixture.integers("image/raw_rgb")
      let bytes = nchwToNHWC(raw.values.map { Float($0) }, raw.shape).values.map { UInt8($0) }
      let image = normalised(bytes, samples: raw.shape[0], height: raw.shape[2], width: raw.shape[3])
      #expect(try fixture.timesAllowed(image, "image/normalised") <= 1)
      #expect(denormalised(image) == bytes)
      let factors = try fixture.floats("jitter/factors").values
      let orders = try fixture.integers("jitter/order").values
      let jitters = (0..<image.samples).map { sample in
        ColourJitter(
          brightness: factors[4 * sample], contrast: factors[4 * sample + 1], saturation: factors[4 * sample + 2],
          hue: factors[4 * sample + 3], order: Array(orders[4 * sample..<4 * sample + 4]))
      }
      #expect(try fixture.timesAllowed(colourJitter(image, jitters), "jitter/output") <= 1)
      for (operation, name) in ["brightness", "contrast", "saturation", "hue"].enumerated() {
        var single = jitters[0]
        single.order = [operation]
        let changed = colourJitter(image, [ColourJitter](repeating: single, count: image.samples))
        #expect(try fixture.timesAllowed(changed, "jitter_single/\(name)") <= 1)
      }
    }

    @Test("blur", arguments: ["0.15", "0.6", "1.15"])
    func blur(_ sigma: String) throws {
      let fixture = try #require(try FixtureFile("augment"))
      let image = try fixture.tensor("image/normalised")
      let sigmas = [Float](repeating: try #require(Float(sigma)), count: image.samples)
      #expect(try fixture.timesAllowed(gaussianBlur(image, sigmas: sigmas), "blur/sigma_\(sigma)") <= 1)
      let sides = try fixture.integers("blur/sides").values
      let windows = try fixture.integers("blur/windows").values
      #expect(sides.map { blurWindow(side: $0) } == windows)
    }

    @Test("class and block masks")
    func masks() throws {
      let fixture = try #require(try FixtureFile("augment"))
      let chosen = try fixture.integers("class_mask/chosen")
      let lists = (0..<chosen.shape[0]).map { sample in
        chosen.values[sample * chosen.shape[1]..<(sample + 1) * chosen.shape[1]].filter { $0 >= 0 }.map { UInt8($0) }
      }
      let mask = classMask(try fixture.labels("class_mask/label"), chosen: lists)
      let expected = try fixture.integers("class_mask/mask").values
      #expect(mask.map(Int.init) == expected)
      let uniforms = try fixture.tensor("block_mask/uniform")
      let grid = uniforms.reshaped([uniforms.shape[0], uniforms.shape[1], uniforms.shape[2]])
      for (height, width) in [(96, 128), (100, 130)] {
        let keep = blockMask(grid, height: height, width: width, ratio: 0.7)
        let expected = try fixture.floats("block_mask/keep_\(height)x\(width)").values
        #expect(keep.values == expected)
      }
    }
  }
}
