// A testbench without Python: a channel and its memory. It writes, reads back, looks into the memory, and makes faults.
// Run by tests/hbm/test_hbm_verilog.py; hbm_device.vh is of memory_file.py. Ends with PASSED, or an exit code not 0.
`timescale 1ns / 1ps

module hbm_device_tb;
  localparam ACCESSES = 20, FIRST = 5;

  reg clk = 0, rst = 1;
  reg request_valid = 0, word_valid = 0;
  reg write = 0;
  reg [`HBM_ADDRESS_BITS-1:0] address = 0;
  reg [255:0] word = 0;
  wire request_ready, word_ready, response_valid, acknowledge_valid, running;
  wire [`HBM_RESPONSE_BITS-1:0] response;
  wire response_error = response[`HBM_RESPONSE_ERROR];
  wire [6:0] last = ACCESSES - 1;

  wire [`HBM_ROW_BITS-1:0] phy__row;
  wire [`HBM_COLUMN_BITS-1:0] phy__column;
  wire [575:0] phy__write, phy__read;
  wire [63:0] phy__write_mask;
  wire [1:0] phy__write_valid, phy__read_valid;
  wire phy__cke, phy__reset_n, phy__init_start, phy__catastrophic, phy__init_complete;
  wire [1:0] phy__address_error;
  wire phy__update_request;
  wire [2:0] phy__temperature;
  wire [31:0] failures;

  channel dut (
    .clk(clk), .rst(rst), .settings(`HBM_SETTINGS),
    .requests__0__payload({last, address, write}), .requests__0__valid(request_valid),
    .requests__0__ready(request_ready),
    .words__0__payload({32'hffffffff, word}), .words__0__valid(word_valid), .words__0__ready(word_ready),
    .responses__0__payload(response), .responses__0__valid(response_valid), .responses__0__ready(1'b1),
    .acknowledges__0__valid(acknowledge_valid), .acknowledges__0__ready(1'b1), .running(running),
    .phy__row(phy__row), .phy__column(phy__column), .phy__write(phy__write), .phy__write_mask(phy__write_mask),
    .phy__write_valid(phy__write_valid), .phy__cke(phy__cke), .phy__reset_n(phy__reset_n),
    .phy__init_start(phy__init_start), .phy__read(phy__read), .phy__read_valid(phy__read_valid),
    .phy__temperature(phy__temperature), .phy__catastrophic(phy__catastrophic),
    .phy__address_error(phy__address_error), .phy__init_complete(phy__init_complete),
    .phy__update_request(phy__update_request)
  );

  hbm_device #(.ROW_BITS(`HBM_ROW_BITS), .COLUMN_BITS(`HBM_COLUMN_BITS)) memory (
    .clk(clk), .phy__row(phy__row), .phy__column(phy__column), .phy__write(phy__write),
    .phy__write_mask(phy__write_mask), .phy__write_valid(phy__write_valid), .phy__cke(phy__cke),
    .phy__reset_n(phy__reset_n), .phy__init_start(phy__init_start), .phy__read(phy__read),
    .phy__read_valid(phy__read_valid), .phy__temperature(phy__temperature), .phy__catastrophic(phy__catastrophic),
    .phy__address_error(phy__address_error), .phy__init_complete(phy__init_complete),
    .phy__update_request(phy__update_request), .failures(failures)
  );

  always #1 clk = ~clk;

  integer clocks = 0;
  always @(posedge clk) begin
    clocks <= clocks + 1;
    if (clocks > 20000) wrong("nothing more happens");
  end

  task wrong(input [8*64-1:0] what);
    begin
      $display("FAILED: %0s", what);
      memory.fail;
    end
  endtask

  function [255:0] content(input [31:0] n);
    content = {8{n + 32'h9e3779b9}} ^ (n << 100);
  endfunction

  integer sent, got, errors;
  reg taken;

  // Inputs change at the falling edge; what the rising edge will take is seen before it.
  task request(input is_write);
    begin
      @(negedge clk);
      write = is_write;
      address = FIRST;
      request_valid = 1;
      sent = 0;
      word = content(0);
      word_valid = is_write;
      got = 0;
      errors = 0;
      while (is_write ? !got : got < ACCESSES) begin
        #0.5;
        taken = request_ready;
        if (word_valid && word_ready) sent = sent + 1;
        if (!is_write && response_valid) begin
          if (response_error) errors = errors + 1;
          else if (response[255:0] !== content(got)) wrong("wrong data");
          got = got + 1;
        end
        if (is_write && acknowledge_valid) got = 1;
        @(negedge clk);
        if (taken) request_valid = 0;
        word_valid = is_write && sent < ACCESSES;
        word = content(sent);
      end
    end
  endtask

  reg [287:0] stored;

  initial begin
    repeat (4) @(negedge clk);
    if ($test$plusargs("peek_beyond")) memory.peek(0, 99, 7, 40, stored);
    if ($test$plusargs("poke_beyond")) memory.poke(2, 0, -1, 3, stored);
    rst = 0;
    while (!running) @(negedge clk);
    request(1);
    request(0);
    if (errors != 0) wrong("errors in clean data");
    repeat (500) @(negedge clk);  // until all is written
    memory.peek(0, 0, 0, FIRST, stored);
    if (stored[255:0] !== content(0)) wrong("the memory holds something else");
    memory.inject("flip_bit 0 0 0 5 131");
    request(0);
    if (errors != 0) wrong("a wrong bit was not corrected");
    memory.inject("flip_bit 0 0 0 5 130");
    request(0);
    if (errors != 1) wrong("two wrong bits were not seen");
    memory.poke(0, 0, 0, FIRST, stored);
    request(0);
    if (errors != 0) wrong("errors in mended data");
    memory.inject("lose_strobes 0 0 1");
    request(0);
    if (errors != 1) wrong("a lost strobe was not seen");
    memory.inject("temperature 2");
    request(0);
    if (phy__temperature != 2) wrong("the temperature stays");
    if (failures != 0) wrong("rules were broken");
    $display("PASSED");
    $finish;
  end
endmodule
