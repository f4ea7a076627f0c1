// What the arithmetic must give, stated again in plain Verilog, in the simplest way and without regard to cost. Nothing
// here is built: Yosys proves that the components give the same (openppu_verif.formats.statement).

// Zeros above the leading one; 2**LEVELS - 1 for a value of 0.
module leading_zeros #(parameter WIDTH = 8, parameter LEVELS = 3) (input [WIDTH-1:0] value, output reg [LEVELS-1:0] count);
  integer place;
  always @* begin
    count = (1 << LEVELS) - 1;
    for (place = 0; place < WIDTH; place = place + 1)
      if (value[place]) count = WIDTH - 1 - place;
  end
endmodule

// int32 to binary32, to nearest, ties to even.
module int32_to_binary32 (input [31:0] bits, output reg [31:0] result);
  reg [31:0] rest;
  reg [7:0] exponent;
  integer place;
  always @* begin
    rest = bits[31] ? -bits : bits;
    exponent = 127 + 31;
    for (place = 0; place < 31; place = place + 1)
      if (!rest[31]) begin
        rest = rest << 1;
        exponent = exponent - 1;
      end
    result = {bits[31], exponent, rest[30:8]} + (rest[7] & (rest[8] | (rest[6:0] != 0)));
    if (bits == 0) result = 0;
  end
endmodule

// binary32 to int32, to nearest, ties to even; limits beyond the range, 0 for NaN.
module binary32_to_int32 (input [31:0] bits, output reg [31:0] result);
  // In steps of 2**-25: what is under 1/2 falls below, and cannot round up.
  reg [63:0] fixed;
  integer place;
  always @* begin
    fixed = {1'b1, bits[22:0]};
    for (place = 126; place < 158; place = place + 1)
      if (bits[30:23] > place) fixed = fixed << 1;
    fixed = fixed + 64'h7fffff + fixed[24];
    result = fixed >> 24;
    if (bits[30:23] < 126) result = 0;
    if (bits[31]) result = -result;
    if (bits[30:23] >= 158) result = bits[31] ? 32'h80000000 : 32'h7fffffff;
    if (bits[30:23] == 255 && bits[22:0] != 0) result = 0;
  end
endmodule

// The bits of a float to the datapath's operand {kind, sign, exponent, factor}; kind 0 finite, 1 infinite, 2 NaN, 3 pad.
module unpack #(parameter EXPONENT = 8, parameter FRACTION = 7, parameter BIAS = 127, parameter INFINITY = 1) (
  input [EXPONENT+FRACTION:0] bits, input pad, output [FRACTION+12:0] operand
);
  reg [FRACTION:0] factor;
  reg [8:0] exponent;
  reg [1:0] kind;
  wire [EXPONENT-1:0] field = bits[EXPONENT+FRACTION-1:FRACTION];
  wire [FRACTION-1:0] fraction = bits[FRACTION-1:0];
  integer place;
  always @* begin
    factor = {field != 0, fraction};
    exponent = (field == 0 ? 1 : field) - BIAS + 320;
    for (place = 0; place < FRACTION; place = place + 1)
      if (!factor[FRACTION]) begin
        factor = factor << 1;
        exponent = exponent - 1;
      end
    kind = 0;
    if (INFINITY) begin
      if (&field) kind = fraction == 0 ? 1 : 2;
    end else if (&field & &fraction) kind = 2;
    if (pad) kind = 3;
    if (pad) factor = 0;
    if (factor == 0) exponent = 0;
  end
  assign operand = {kind, bits[EXPONENT+FRACTION], exponent, factor};
endmodule

// binary32 to a smaller float, to nearest, ties to even.
module narrow #(parameter EXPONENT = 8, parameter FRACTION = 7, parameter BIAS = 127, parameter INFINITY = 1) (
  input [31:0] bits, input saturate, output reg [EXPONENT+FRACTION:0] result
);
  localparam DROP = 23 - FRACTION;
  localparam TOP = ((1 << EXPONENT) - 1) << FRACTION;  // infinity where there is one
  localparam NAN = INFINITY ? TOP | (1 << (FRACTION - 1)) : TOP | ((1 << FRACTION) - 1);
  localparam LARGEST = INFINITY ? TOP - 1 : NAN - 1;
  localparam BEYOND = INFINITY ? TOP : NAN;
  reg [23:0] significand;
  reg lost, nan;
  reg signed [9:0] exponent;
  reg [31:0] magnitude;
  integer place;
  always @* begin
    significand = {bits[30:23] != 0, bits[22:0]};
    exponent = $signed({2'b0, bits[30:23]}) - 127 + BIAS + (bits[30:23] == 0);
    lost = 0;
    // A subnormal has the exponent 1. After 25 places nothing is left.
    for (place = 0; place < 25; place = place + 1)
      if (exponent < 1) begin
        lost = lost | significand[0];
        significand = significand >> 1;
        exponent = exponent + 1;
      end
    if (exponent < 1) exponent = 1;
    magnitude = ((exponent - 1) << FRACTION) + (significand >> DROP);
    if (significand[DROP-1] & (lost | significand[DROP] | |(significand & ((1 << (DROP - 1)) - 1))))
      magnitude = magnitude + 1;
    if (magnitude > LARGEST || bits[30:0] == 31'h7f800000)
      magnitude = saturate && EXPONENT + FRACTION == 7 ? LARGEST : BEYOND;
    nan = bits[30:0] > 31'h7f800000;
    result = {bits[31], magnitude[EXPONENT+FRACTION-1:0]};
    if (nan || (!INFINITY && magnitude == NAN)) result = NAN;
  end
endmodule

// a + b of binary32, to nearest, ties to even; the one NaN is 7fc00000.
module add32 (input [31:0] a, input [31:0] b, output reg [31:0] total);
  wire swap = b[30:0] > a[30:0];
  wire [31:0] x = swap ? b : a;
  wire [31:0] y = swap ? a : b;
  reg [27:0] greater, lesser, sum;
  reg [8:0] exponent;
  reg lost;
  integer place;
  always @* begin
    greater = {1'b0, x[30:23] != 0, x[22:0], 3'b0};
    lesser = {1'b0, y[30:23] != 0, y[22:0], 3'b0};
    exponent = x[30:23] + (x[30:23] == 0);
    // Places behind the first three count together as one.
    for (place = 0; place < 27; place = place + 1)
      if (exponent > y[30:23] + (y[30:23] == 0) + place) lesser = lesser >> 1 | lesser[0];
    sum = x[31] == y[31] ? greater + lesser : greater - lesser;
    if (sum[27]) begin
      sum = sum >> 1 | sum[0];
      exponent = exponent + 1;
    end
    for (place = 0; place < 26; place = place + 1)
      if (!sum[26] && exponent > 1) begin
        sum = sum << 1;
        exponent = exponent - 1;
      end
    total = {x[31], 31'b0} | ((exponent - 1) << 23) + (sum >> 3) + (sum[2] & (sum[1] | sum[0] | sum[3]));
    if (sum == 0) total = (a[31] & b[31]) << 31;
    if (total[30:23] == 255 || x[30:23] == 255) total = {x[31], 31'h7f800000};
    if (x[30:0] > 31'h7f800000 || (x[30:0] == 31'h7f800000 && y[30:0] == 31'h7f800000 && x[31] != y[31]))
      total = 32'h7fc00000;
  end
endmodule

// a * b of an 8-bit float, which binary32 holds exactly; the one NaN is 7fc00000.
module product8 #(parameter EXPONENT = 4, parameter FRACTION = 3, parameter BIAS = 7, parameter INFINITY = 0) (
  input [7:0] a, input [7:0] b, output reg [31:0] product
);
  wire [EXPONENT-1:0] a_field = a[6:FRACTION], b_field = b[6:FRACTION];
  wire a_nan = INFINITY ? &a_field && a[FRACTION-1:0] != 0 : &a[6:0];
  wire b_nan = INFINITY ? &b_field && b[FRACTION-1:0] != 0 : &b[6:0];
  wire a_infinite = INFINITY && &a_field && !a_nan;
  wire b_infinite = INFINITY && &b_field && !b_nan;
  reg [23:0] significand;
  reg [8:0] exponent;
  integer place;
  always @* begin
    significand = {a_field != 0, a[FRACTION-1:0]} * {b_field != 0, b[FRACTION-1:0]};
    exponent = 150 + a_field + (a_field == 0) + b_field + (b_field == 0) - 2 * (BIAS + FRACTION);
    for (place = 0; place < 23; place = place + 1)
      if (!significand[23]) begin
        significand = significand << 1;
        exponent = exponent - 1;
      end
    product = {a[7] ^ b[7], exponent[7:0], significand[22:0]};
    if (significand == 0) product = (a[7] ^ b[7]) << 31;
    if (a_infinite || b_infinite) product = {a[7] ^ b[7], 31'h7f800000};
    if (a_nan || b_nan || (a_infinite && b[6:0] == 0) || (b_infinite && a[6:0] == 0)) product = 32'h7fc00000;
  end
endmodule
