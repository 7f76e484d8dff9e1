// Windows that walk over a padded map with a stride, as operations on variables.

import Kernels
import Tensors

/// Depthwise convolution with a stride, without bias; see `Kernels.depthwiseConvolution`.
public func depthwiseConvolution(
  _ x: Variable, _ weight: Parameter, _ window: PaddedWindow, _ context: ForwardContext
) -> Variable {
  let value = Kernels.depthwiseConvolution(x.value, weight: weight.value, window)
  let (input, cell) = (x.value, x.cell)
  return context.record(value, tracked: cell != nil || weight.slots != nil) { gradient in
    if let slots = weight.slots {
      depthwiseConvolutionWeightGradient(input, gradient: gradient, window, into: slots)
    }
    cell?.accumulate(
      depthwiseConvolutionInputGradient(
        gradient, weight: weight.value, height: input.shape[1], width: input.shape[2], window))
  }
}

/// Max pooling; see `Kernels.maxPooling`.
public func maxPooling(_ x: Variable, _ window: PaddedWindow, _ context: ForwardContext) -> Variable {
  let (value, taps) = Kernels.maxPooling(x.value, window)
  let (cell, height, width) = (x.cell, x.value.shape[1], x.value.shape[2])
  return context.record(value, tracked: cell != nil) { gradient in
    cell?.accumulate(maxPoolingGradient(gradient, taps: taps, height: height, width: width, window))
  }
}
