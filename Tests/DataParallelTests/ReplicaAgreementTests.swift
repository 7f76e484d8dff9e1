// Replicas that differ are found, and the rank and the item are named.

import Collectives
import CollectivesTesting
import DataParallel
import Support
import Tensors
import TestSupport
import Testing

@Suite struct ReplicaAgreementTests {
  private func failures(ranks: Int, _ body: @Sendable (LoopbackCommunicator) throws -> Void) throws -> [Failure?] {
    try LoopbackCommunicator.run(ranks: ranks) { communicator in
      do {
        try body(communicator)
        return nil
      } catch let failure as Failure {
        return failure == communicator.agreedFailure ? failure : Failure(.internal, "not agreed: \(failure)")
      }
    }
  }

  @Test(arguments: [(4, 2), (3, 0), (2, 1)]) func differingItemNamesRank(ranks: Int, odd: Int) throws {
    let found = try failures(ranks: ranks) { communicator in
      try ReplicaAgreement(on: communicator, interval: 1).compare([
        (name: "program version", value: "1.0"), (name: "recipe", value: communicator.rank == odd ? "b" : "a"),
      ])
    }
    #expect(found.allSatisfy { $0?.what == "recipe is b where other ranks have a" })
    #expect(found.allSatisfy { $0?.place == "rank \(odd) on \(currentHostName())" && $0?.status == .badData })
  }

  /// The lowest rank holds what is right in a tie; a third value waits for its turn.
  @Test(arguments: [(4, [2, 3]), (5, [1, 4]), (7, [2])]) func allWithTheSameOtherValueAreNamed(ranks: Int, odd: [Int])
    throws
  {
    let found = try failures(ranks: ranks) { communicator in
      let value = odd.contains(communicator.rank) ? "2" : communicator.rank == ranks - 1 && ranks == 7 ? "3" : "1"
      try ReplicaAgreement(on: communicator, interval: 0).compare([(name: "MPI", value: value)], remedy: "mend it")
    }
    let places = odd.map { "rank \($0) on \(currentHostName())" }.joined(separator: ", ")
    #expect(found.allSatisfy { $0?.what == "MPI is 2 where other ranks have 1" && $0?.remedy == "mend it" })
    #expect(found.allSatisfy { $0?.place == places })
  }

  @Test func longListsAreCut() throws {
    let found = try failures(ranks: 12) { communicator in
      let item = (name: "MPI", value: communicator.rank < 6 ? "1" : "2")
      try ReplicaAgreement(on: communicator, interval: 0).compare([item])
    }
    let places = (6..<10).map { "rank \($0) on \(currentHostName())" }.joined(separator: ", ") + " and 2 more"
    #expect(found.allSatisfy { $0?.place == places })
  }

  @Test func equalItemsPass() throws {
    let found = try failures(ranks: 3) { communicator in
      try ReplicaAgreement(on: communicator, interval: 1).compare([(name: "recipe", value: "a")])
    }
    #expect(found == [nil, nil, nil])
  }

  @Test func otherItemsAreFound() throws {
    let found = try failures(ranks: 3) { communicator in
      let items = [(name: "recipe", value: "a"), (name: "level", value: "b")]
      try ReplicaAgreement(on: communicator, interval: 1).compare(communicator.rank == 1 ? [items[0]] : items)
    }
    #expect(found.allSatisfy { $0?.place?.hasPrefix("rank 1 on ") == true })
  }

  @Test func parametersBecomeThoseOfRankZero() throws {
    let values = try LoopbackCommunicator.run(ranks: 3) { communicator in
      let tensors = [7, 1000].map { randomTensor([$0], seed: UInt64(communicator.rank)) }
      try ReplicaAgreement(on: communicator, interval: 1).share(tensors)
      return tensors.map(\.values)
    }
    #expect(values.allSatisfy { $0 == values[0] })
    #expect(values[0][1] == randomTensor([1000], seed: 0).values)
  }

  @Test(arguments: [0, 65_536, 149_998]) func oneWrongBitIsFound(index: Int) throws {
    let found = try failures(ranks: 4) { communicator in
      let tensors = (0..<3).map { (name: "layer\($0).weight", tensor: randomTensor([149_999], seed: UInt64($0))) }
      if communicator.rank == 2 {
        let place = tensors[1].tensor.pointer + index
        place.pointee = Float(bitPattern: place.pointee.bitPattern ^ 1)
      }
      let agreement = ReplicaAgreement(on: communicator, interval: 5)
      try agreement.check(step: 4, tensors)
      try agreement.check(step: 5, tensors)
    }
    #expect(found.allSatisfy { $0?.what == "layer1.weight differs from the other ranks' after step 5" })
    #expect(found.allSatisfy { $0?.place?.hasPrefix("rank 2 on ") == true && $0?.status == .internal })
  }

  @Test func thePartOfAnArenaIsNamed() throws {
    let parts = [(name: "first", range: 0..<10), (name: "second", range: 10..<60), (name: "third", range: 60..<100)]
    let found = try failures(ranks: 3) { communicator in
      let arena = randomTensor([100], seed: 3)
      if communicator.rank == 0 { arena.pointer[59] += 1 }
      try ReplicaAgreement(on: communicator, interval: 1).check(step: 1, [(name: "weights", tensor: arena)]) { name in
        name == "weights" ? parts : []
      }
    }
    #expect(found.allSatisfy { $0?.what == "second of the weights differs from the other ranks' after step 1" })
    #expect(found.allSatisfy { $0?.place?.hasPrefix("rank 0 on ") == true })
  }

  @Test func equalTensorsPassAndOtherStepsAreSkipped() throws {
    let found = try failures(ranks: 2) { communicator in
      let tensors = [(name: "a", tensor: randomTensor([100], seed: 1))]
      try ReplicaAgreement(on: communicator, interval: 5).check(step: 10, tensors)
      let own = [(name: "a", tensor: randomTensor([100], seed: UInt64(communicator.rank)))]
      try ReplicaAgreement(on: communicator, interval: 5).check(step: 11, own)
      try ReplicaAgreement(on: communicator, interval: 0).check(step: 0, own)
    }
    #expect(found == [nil, nil])
  }

  @Test func digestSeesEverySign() {
    let tensor = randomTensor([131_075], seed: 9)
    let before = digest(of: tensor)
    #expect(digest(of: tensor.copy()) == before)
    for index in [0, 1, 65_535, 131_074] {
      let changed = tensor.copy()
      changed.pointer[index] = -changed.pointer[index]
      #expect(digest(of: changed) != before)
    }
    #expect(digest(of: Tensor(zeros: [3])) != digest(of: Tensor(zeros: [4])))
  }

  @Test func layoutDigestSeesNamesShapesAndOrder() {
    let layouts: [[(name: String, shape: [Int])]] = [
      [("a", [2, 3]), ("b", [1])], [("b", [1]), ("a", [2, 3])], [("a", [3, 2]), ("b", [1])], [("a", [2, 3])],
    ]
    #expect(Set(layouts.map { ReplicaAgreement.layoutDigest($0) }).count == 4)
  }
}
