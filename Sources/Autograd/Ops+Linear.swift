// Linear maps and convolutions as operations on variables: each calls a kernel pair and records one closure.

import Kernels
import Tensors

/// `x · weight + bias` along the last axis; see `Kernels.linear`.
public func linear(_ x: Variable, _ weight: Parameter, _ bias: Parameter?, _ context: ForwardContext) -> Variable {
  let value = Kernels.linear(x.value, weight: weight.value, bias: bias?.value)
  let (input, cell) = (x.value, x.cell)
  return context.record(value, tracked: cell != nil || weight.slots != nil) { gradient in
    if let slots = weight.slots { linearWeightGradient(input, gradient, into: slots) }
    if let slots = bias?.slots { columnSums(gradient, into: slots) }
    cell?.accumulate(linearInputGradient(gradient, weight: weight.value))
  }
}

/// `gelu(x) · weight + bias`. The activation is computed again on the way back instead of kept.
public func linearOfGELU(
  _ x: Variable, _ weight: Parameter, _ bias: Parameter?, _ context: ForwardContext
) -> Variable {
  let value = Kernels.linear(Kernels.gelu(x.value), weight: weight.value, bias: bias?.value)
  let (input, cell) = (x.value, x.cell)
  return context.record(value, tracked: cell != nil || weight.slots != nil) { gradient in
    if let slots = weight.slots { linearWeightGradient(Kernels.gelu(input), gradient, into: slots) }
    if let slots = bias?.slots { columnSums(gradient, into: slots) }
    cell?.accumulate(geluGradient(input, gradient: linearInputGradient(gradient, weight: weight.value)))
  }
}

/// Convolution; see `Kernels.convolution`.
public func convolution(
  _ x: Variable, _ weight: Parameter, _ bias: Parameter?, _ geometry: ConvolutionGeometry, _ context: ForwardContext
) -> Variable {
  let value = Kernels.convolution(
    x.value, weight: weight.value, bias: bias?.value, geometry, role: context.tape == nil ? .prediction : .activation)
  let (input, cell) = (x.value, x.cell)
  return context.record(
    value, tracked: cell != nil || weight.slots != nil,
    weights: { gradient in
      if let slots = weight.slots { convolutionWeightGradient(input, gradient, into: slots, geometry) }
      if let slots = bias?.slots { columnSums(gradient, into: slots) }
    },
    { gradient in
      cell?.accumulate(
        convolutionInputGradient(
          gradient, weight: weight.value, height: input.shape[1], width: input.shape[2], geometry))
    })
}

/// Depthwise convolution of stride 1; see `Kernels.depthwiseConvolution`.
public func depthwiseConvolution(
  _ x: Variable, _ weight: Parameter, _ bias: Parameter?, dilation: Int, _ context: ForwardContext
) -> Variable {
  let value = Kernels.depthwiseConvolution(x.value, weight: weight.value, bias: bias?.value, dilation: dilation)
  let (input, cell) = (x.value, x.cell)
  return context.record(value, tracked: cell != nil || weight.slots != nil) { gradient in
    if let slots = weight.slots {
      depthwiseConvolutionWeightGradient(
        input, gradient: gradient, kernel: weight.value.shape[0], dilation: dilation, weightSlots: slots,
        biasSlots: bias?.slots)
    }
    cell?.accumulate(depthwiseConvolutionInputGradient(gradient, weight: weight.value, dilation: dilation))
  }
}
