// An HBM2e channel behind its PHY, for testbenches in Verilog: device model and checker of docs/hbm-verification.md,
// which also tells how to compile it. Ports are named as the controller's, from the controller's side.
//
//   hbm_device #(.CONFIGURATION("hbm_device.txt"), .ROW_BITS(`HBM_ROW_BITS), .COLUMN_BITS(`HBM_COLUMN_BITS))
//     memory (.clk(clk), .phy__row(phy__row), ...);
//
// CONFIGURATION is a file of `python -m openppu_verif.hbm.memory_file`. A rule that is broken, or a command that cannot
// be obeyed, is a line on stderr and is counted in `failures`; with STOP it also ends the run, with an exit code that is
// not 0.
module hbm_device #(
  parameter CONFIGURATION = "hbm_device.txt",
  parameter ROW_BITS = 50,
  parameter COLUMN_BITS = 42,
  parameter STOP = 1
) (
  input  wire                   clk,
  input  wire [ROW_BITS-1:0]    phy__row,
  input  wire [COLUMN_BITS-1:0] phy__column,
  input  wire [575:0]           phy__write,
  input  wire [63:0]            phy__write_mask,
  input  wire [1:0]             phy__write_valid,
  input  wire                   phy__cke,
  input  wire                   phy__reset_n,
  input  wire                   phy__init_start,
  output reg  [575:0]           phy__read,
  output wire [1:0]             phy__read_valid,
  output wire [2:0]             phy__temperature,
  output wire                   phy__catastrophic,
  output wire [1:0]             phy__address_error,
  output wire                   phy__init_complete,
  output wire                   phy__update_request,
  output reg  [31:0]            failures
);

`ifdef VERILATOR
  import "DPI-C" function longint hbm_open(input string path);
  import "DPI-C" function int hbm_clock(input longint memory, input bit [127:0] row, input bit [127:0] column,
                                        input bit [575:0] write, input bit [63:0] write_mask, input bit [4:0] pins,
                                        output bit [575:0] read, output bit [31:0] status);
  import "DPI-C" function int hbm_inject(input longint memory, input string text);
  import "DPI-C" function void hbm_poke(input longint memory, input int pc, input int bank, input int row,
                                        input int column, input bit [287:0] word);
  import "DPI-C" function void hbm_peek(input longint memory, input int pc, input int bank, input int row,
                                        input int column, output bit [287:0] word);
`endif

  reg [63:0]  memory;
  reg [31:0]  done;
  reg [575:0] read;
  reg [31:0]  status, next;
  reg [31:0]  broken;
  wire [127:0] row = phy__row;
  wire [127:0] column = phy__column;

  assign phy__read_valid = status[1:0] & {2{phy__reset_n}};
  assign phy__temperature = status[4:2];
  assign phy__catastrophic = status[5];
  assign phy__address_error = status[7:6];
  assign phy__init_complete = status[8];
  assign phy__update_request = status[9];

  initial begin
    phy__read = 0;
    status = 32'h0000_000c;
    failures = 0;
`ifdef VERILATOR
    memory = hbm_open(CONFIGURATION);
`else
    $hbm_open(memory, CONFIGURATION);
`endif
    if (memory == 0) fail;
  end

  always @(posedge clk) if (memory != 0) begin
`ifdef VERILATOR
    broken = hbm_clock(memory, row, column, phy__write, phy__write_mask,
                       {phy__write_valid, phy__init_start, phy__cke, phy__reset_n}, read, next);
`else
    $hbm_clock(broken, memory, row, column, phy__write, phy__write_mask,
               {27'd0, phy__write_valid, phy__init_start, phy__cke, phy__reset_n}, read, next);
`endif
    phy__read <= read;
    status <= next;
    failures <= broken;
    if (STOP != 0 && broken != 0) fail;
  end

  // End the run, with an exit code that is not 0.
  task fail;
`ifdef VERILATOR
    $fatal(1, "the run has failed");
`else
    $hbm_fail;
`endif
  endtask

  // A fault or another event, such as "flip_bit 0 3 100 5 77": faults.h lists them.
  task inject(input [8*256-1:0] text);
    begin
`ifdef VERILATOR
      done = hbm_inject(memory, string'(text));
`else
      $hbm_inject(done, memory, text);
`endif
      if (done == 0) fail;
    end
  endtask

  // Write and read an access without the bus: 256 bits of data, then 32 check bits. Beyond the memory that is told as a
  // failure, at the next clock.
  task poke(input integer pc, input integer bank, input integer at_row, input integer at_column, input [287:0] word);
`ifdef VERILATOR
    hbm_poke(memory, pc, bank, at_row, at_column, word);
`else
    $hbm_poke(memory, pc, bank, at_row, at_column, word);
`endif
  endtask

  task peek(input integer pc, input integer bank, input integer at_row, input integer at_column,
            output [287:0] word);
`ifdef VERILATOR
    hbm_peek(memory, pc, bank, at_row, at_column, word);
`else
    $hbm_peek(memory, pc, bank, at_row, at_column, word);
`endif
  endtask
endmodule
