// Mean and deviation of channels, blends of them, and maps in other styles, against twins in Double.

import Kernels
import Tensors
import TestSupport
import Testing

extension KernelTests {
  @Suite struct ChannelStyleTests {
    @Test("means and deviations are the twin's", arguments: [[1, 1, 2, 3], [2, 5, 7, 4], [3, 40, 33, 64]])
    func styles(_ extents: [Int]) {
      let x = randomTensor(Shape(extents), seed: 1, scale: 2, offset: 0.5)
      let styles = ChannelStyles(of: x)
      let twin = naiveChannelStyles(doubles(x), samples: extents[0], channels: extents[3])
      #expect(styles.means.shape == [extents[0], extents[3]])
      #expect(relativeError(styles.means, twin.means) < 1e-6)
      #expect(relativeError(styles.deviations, twin.deviations) < 1e-6)
    }

    @Test("a map of one pixel has no deviation, and an even one none either")
    func evenMaps() {
      #expect(ChannelStyles(of: Tensor([3, -4], [1, 1, 1, 2])).deviations.values == [0, 0])
      let even = ChannelStyles(of: Tensor(repeating: 0.1, [1, 30, 30, 2]))
      #expect(even.means.values == [0.1, 0.1] && even.deviations.values.allSatisfy { $0 < 1e-8 })
    }

    @Test("rows are means, then deviations, and back")
    func rows() {
      let styles = ChannelStyles(means: Tensor([1, 2, 3, 4], [2, 2]), deviations: Tensor([5, 6, 7, 8], [2, 2]))
      #expect(styles.rows.values == [1, 2, 5, 6, 3, 4, 7, 8])
      let again = ChannelStyles(rows: styles.rows)
      #expect(again.means.values == styles.means.values && again.deviations.values == styles.deviations.values)
      let blend = styles.blended([[0.25, 0.75], [1, 0]])
      #expect(blend.means.values == [2.5, 3.5, 1, 2] && blend.deviations.values == [6.5, 7.5, 5, 6])
    }

    @Test("a map takes another style on, and the factors are the derivative with constant statistics")
    func restyling() {
      let x = randomTensor([2, 6, 5, 8], seed: 2, scale: 3, offset: -1)
      let own = ChannelStyles(of: x)
      let styles = ChannelStyles(
        means: randomTensor([2, 8], seed: 3), deviations: randomTensor([2, 8], seed: 4, scale: 0.2, offset: 1))
      let (output, factors) = restyled(x, own: own, to: styles)
      let twin = naiveRestyled(
        doubles(x), own: (doubles(own.means), doubles(own.deviations)),
        to: (doubles(styles.means), doubles(styles.deviations)), samples: 2, channels: 8)
      #expect(relativeError(output, twin) < 1e-6)
      let found = ChannelStyles(of: output)
      #expect(relativeError(found.means, doubles(styles.means)) < 1e-5)
      #expect(relativeError(found.deviations, doubles(styles.deviations)) < 1e-5)
      let cotangent = randomTensor(x.shape, seed: 5)
      let error = directionalError(
        at: doubles(x), direction: doubles(randomTensor(x.shape, seed: 6)),
        gradient: doubles(scaleChannels(cotangent, factors: factors))
      ) {
        innerProduct(
          naiveRestyled(
            $0, own: (doubles(own.means), doubles(own.deviations)),
            to: (doubles(styles.means), doubles(styles.deviations)), samples: 2, channels: 8), doubles(cotangent))
      }
      #expect(error < 1e-6)
    }

    @Test("a channel without deviation becomes the other mean")
    func constantChannels() {
      let x = Tensor(repeating: 5, [1, 4, 4, 2])
      let styles = ChannelStyles(means: Tensor([1, -2], [1, 2]), deviations: Tensor([3, 4], [1, 2]))
      let (output, _) = restyled(x, own: ChannelStyles(of: x), to: styles)
      #expect(output.values == (0..<16).flatMap { _ in [1, -2] as [Float] })
    }

    @Test("bits depend on neither threads nor other samples")
    func invariance() {
      func run(_ samples: Int) -> [Float] {
        let x = randomTensor([samples, 40, 33, 64], seed: 7)
        let own = ChannelStyles(of: x)
        let other = ChannelStyles(
          means: randomTensor([samples, 64], seed: 8), deviations: randomTensor([samples, 64], seed: 9, offset: 2))
        let output = restyled(x, own: own, to: other).output
        return (0..<samples).flatMap { own.rows.sample($0).values + output.sample($0).values }
      }
      expectSameBitsOnThreads { run(3) }
      expectIndependentSamples(run)
    }
  }
}
