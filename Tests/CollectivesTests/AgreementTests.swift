// Failures that ranks share, small values, and how a launch is recognised.

import Collectives
import CollectivesTesting
import Support
import Testing

@Suite struct AgreementTests {
  private struct Other: Error {}

  @Test func lowestFailingRankSpeaksForAll() throws {
    let learnt = try LoopbackCommunicator.run(ranks: 4) { communicator in
      let mine: Result<Int, Failure> =
        communicator.rank < 2
        ? .success(communicator.rank)
        : .failure(Failure(.missingInput, "no file \(communicator.rank)", at: "a.png", remedy: "copy it"))
      do {
        return (try communicator.agree(mine), Failure?.none, Failure?.none)
      } catch let failure as Failure {
        return (-1, failure, communicator.agreedFailure)
      }
    }
    let expected = Failure(
      .missingInput, "no file 2", at: "rank 2 on \(currentHostName()): a.png", remedy: "copy it")
    #expect(learnt.allSatisfy { $0.0 == -1 && $0.1 == expected && $0.2 == expected })
  }

  @Test func failureOfAllRanksNamesNone() {
    #expect(throws: Failure(.badData, "wrong key", at: "recipe.yaml:3")) {
      try LoopbackCommunicator.run(ranks: 3) { communicator in
        try communicator.together { throw Failure(.badData, "wrong key", at: "recipe.yaml:3") }
      }
    }
  }

  @Test func otherErrorsAreInternal() {
    let solo = SoloCommunicator()
    #expect(throws: Failure(.internal, "Other()")) { try solo.together { throw Other() } }
    #expect(solo.agreedFailure == Failure(.internal, "Other()"))
  }

  @Test func everyRankGetsItsOwnValue() throws {
    #expect(
      try LoopbackCommunicator.run(ranks: 3) { communicator in
        try communicator.together { communicator.rank * 10 }
      } == [0, 10, 20])
  }

  @Test func extremesAndSums() throws {
    let results = try LoopbackCommunicator.run(ranks: 5) { communicator in
      let number = [Int64(3), -7, 12, Int64.max, 0][communicator.rank]
      return (
        try communicator.allMinimum(number), try communicator.allMaximum(number),
        try communicator.sumIntegers([number, 1]), try communicator.orBits(1 << UInt64(2 * communicator.rank))
      )
    }
    #expect(results.allSatisfy { $0.0 == -7 && $0.1 == Int64.max && $0.2 == [Int64.min + 7, 5] && $0.3 == 0x155 })
  }

  @Test func textsOfAnyLengthAreGathered() throws {
    let results = try LoopbackCommunicator.run(ranks: 3) { communicator in
      try communicator.gatherStrings(["", "zwei", "三"][communicator.rank])
        + [try communicator.broadcastString(communicator.rank == 2 ? "from two" : "", from: 2)]
    }
    #expect(results.allSatisfy { $0 == ["", "zwei", "三", "from two"] })
  }

  @Test func launchersAreRecognised() throws {
    #expect(try announcedRanks([:]) == nil)
    #expect(try announcedRanks(["OMPI_COMM_WORLD_SIZE": "4", "SLURM_STEP_NUM_TASKS": "2"]) == 4)
    #expect(try announcedRanks(["OMPI_COMM_WORLD_SIZE": "1"]) == 1)
    #expect(try announcedRanks(["PMIX_RANK": "2", "SLURM_STEP_NUM_TASKS": "3"]) == 3)
    #expect(try announcedRanks(["SLURM_STEP_NUM_TASKS": "1"]) == nil)
    #expect(throws: Failure.self) { try announcedRanks(["SLURM_STEP_NUM_TASKS": "3"]) }
  }

  /// As in `srun --pty bash` where Slurm's MpiDefault is pmi2.
  @Test func stepsWithPMI2AreAloneOrRefused() throws {
    let one = ["SLURM_STEP_NUM_TASKS": "1", "PMI_RANK": "0", "PMI_SIZE": "1", "PMI_FD": "99"]
    #expect(try announcedRanks(one) == nil)
    let two = one.merging(["SLURM_STEP_NUM_TASKS": "2", "PMI_SIZE": "2"]) { $1 }
    for environment in [two, two.filter { $0.key.hasPrefix("PMI_") }] {
      let failure = #expect(throws: Failure.self) { try announcedRanks(environment) }
      #expect(failure?.status == .usage && failure?.description.contains("use srun --mpi=pmix") == true)
    }
  }
}
