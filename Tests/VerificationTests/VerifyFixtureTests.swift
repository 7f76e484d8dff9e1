// The shared reference files, repeated and compared as `apus verify` does.

import TestSupport
import Testing
import Verification

@Suite(.enabled(if: hasSharedFolder, "needs ../shared")) struct VerifyFixtureTests {
  @Test func initialWeightsHaveNoItems() throws {
    let fixture = try #require(try FixtureFile("weights"))
    #expect(verify(fixture).items == [])
  }
}
