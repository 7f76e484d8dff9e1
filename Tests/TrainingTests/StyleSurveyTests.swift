// Base styles of the source: the same on any number of ranks and after an interruption, and rows of real images.

import Adaptation
import Collectives
import CollectivesTesting
import Domains
import Foundation
import Kernels
import Methods
import Recipes
import Tensors
import Testing
import Training

@Suite(.serialized) struct StyleSurveyTests {
  private func recipe(_ overrides: [String] = []) throws -> Recipe {
    let root = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardizedFileURL
    // 520 small images: two rounds, the last chunk of the first full, that of the second alone.
    return try Recipe.read(
      root.appending(path: "Launch/recipes/test-invariance.yaml").path,
      overrides: [
        "method=hrda-dg", "methodOptions.styles=6", "data.source.count=520", "data.source.size=70x44",
        "crop.size=64x32",
        "network.resolution=context-only", "network.contextScale=1", "network.detailCrop=64x32", "batch.global=2",
        "featureDistance.weight=0", "rareClassSampling.enabled=false", "evaluation.crop=64x32",
        "evaluation.stride=64x32", "schedule.steps=20",
      ] + overrides, environment: [:], catalogue: .standard)
  }

  private func base(_ experiment: Experiment) throws -> [Float] {
    try #require(experiment.step.parts.objectives.lazy.compactMap { $0 as? StyleHallucination }.first).base.rows.values
  }

  @Test func anyNumberOfRanksChoosesTheSameStyles() throws {
    let found = try [1, 2, 3].map { ranks in
      let recipe = try recipe(["batch.global=\(ranks == 3 ? 3 : 2)"])
      return try LoopbackCommunicator.run(ranks: ranks) { communicator in
        let experiment = try Experiment(recipe, on: communicator)
        #expect(try experiment.survey(before: 0))
        return try base(experiment)
      }
    }
    let one = found[0][0]
    #expect(found.allSatisfy { $0.allSatisfy { $0 == one } })
    #expect(one.allSatisfy(\.isFinite) && one.contains { $0 != 0 })
  }

  @Test func stylesAreThoseOfImagesThatAreFarApart() throws {
    let experiment = try Experiment(try recipe(["data.source.count=9"]), on: SoloCommunicator())
    #expect(try experiment.survey(before: 0))
    let width = try base(experiment).count / 6
    let chosen = stride(from: 0, to: 6 * width, by: width).map { first in
      (try? Array(base(experiment)[first..<first + width])) ?? []
    }
    let set = try #require(experiment.data.source)
    let rows = try (0..<9).map { index in
      let image = normalisedTensor([try set.image(index)])
      let seen = SurveyedImage(image, labels: nil, student: experiment.student)
      return ChannelStyles(of: try seen.finestMap()).rows.values
    }
    #expect(Set(chosen).count == 6 && chosen.allSatisfy { rows.contains($0) })
    let start = try #require(rows.firstIndex(of: chosen[0]))
    let expected = farthestPoints(Tensor(rows.flatMap { $0 }, [9, width]), count: 6, start: start)
    #expect(expected.map { rows[$0] } == chosen)
  }

  @Test func fewerImagesThanStylesRepeatThem() throws {
    let experiment = try Experiment(try recipe(["data.source.count=4"]), on: SoloCommunicator())
    #expect(try experiment.survey(before: 0))
    let all = try base(experiment)
    let width = all.count / 6
    #expect(all[..<(2 * width)] == all[(4 * width)...])
  }

  @Test func aSurveyGoesOnAfterAnInterruption() throws {
    let recipe = try recipe()
    let whole = try Experiment(recipe, on: SoloCommunicator())
    #expect(try whole.survey(before: 0))
    let first = try Experiment(recipe, on: SoloCommunicator())
    var rounds = 0
    let isDone = try first.survey(
      before: 0,
      while: {
        rounds += 1
        return rounds < 2
      })
    #expect(try !isDone && base(first).allSatisfy { $0 == 0 })
    #expect(try first.survey(before: 0) && first.digests == whole.digests)
  }

  @Test func stylesAreChosenAnew() throws {
    let experiment = try Experiment(try recipe(), on: SoloCommunicator())
    #expect(try experiment.survey(before: 0))
    let first = try base(experiment)
    #expect(try experiment.survey(before: 1) && base(experiment) == first, "a tenth of 20 steps are 2")
    #expect(try experiment.survey(before: 2) && base(experiment) != first, "from another start")
    let kept = try Experiment(try recipe(["methodOptions.renewal=0"]), on: SoloCommunicator())
    #expect(try kept.survey(before: 0))
    #expect(try kept.survey(before: 2) && base(kept) == first)
  }

  @Test func stylesCostNothingButAStep() throws {
    let experiment = try Experiment(try recipe(["methodOptions.distortion=false"]), on: SoloCommunicator())
    let record = try experiment.step.run(try experiment.loader.batches(step: 0), step: 0)
    #expect(record.losses.map(\.name) == ["source.fused", "source.styled.fused", "source.hrda-dg"])
    #expect(record.losses.allSatisfy { $0.value.isFinite && $0.value > 0 })
  }
}
