// Unit check of DAFormer (Hoyer et al., CVPR 2022) that concerns rare class sampling: numbers by hand.

import Domains
import Testing

@Suite("DAFormer checks, sampling") struct DAFormerChecks {
  @Test("3: class probabilities of 900 and 100 pixels") func rareClasses() {
    let soft = rareClassProbabilities(pixels: [900, 100], temperature: 1)
    #expect(abs(soft[0] - 0.31003) < 5e-6 && abs(soft[1] - 0.68997) < 5e-6)
    let hard = rareClassProbabilities(pixels: [900, 100], temperature: 0.5)
    #expect(abs(hard[0] - 0.16798) < 5e-6 && abs(hard[1] - 0.83202) < 5e-6)
  }
}
