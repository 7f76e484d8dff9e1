// The same map in another style.

import Kernels
import Tensors

/// A map [N, H, W, C] in other styles, one for each sample; see `Kernels.restyled`. Its own mean and deviation are
/// constants of the gradient.
public func restyled(_ x: Variable, to styles: ChannelStyles, _ context: ForwardContext) -> Variable {
  let (output, factors) = Kernels.restyled(x.value, own: ChannelStyles(of: x.value), to: styles)
  let cell = x.cell
  return context.record(output, tracked: cell != nil) { gradient in
    cell?.accumulate(scaleChannels(gradient, factors: factors))
  }
}
