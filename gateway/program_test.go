package main

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestAllOfTheProgramIsMapped(t *testing.T) {
	mapped, err := mapProgram()
	if err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "RssFile:")
	resident, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	if least := int(mapped >> 10); least < 1<<10 || resident < least {
		t.Errorf("%d KiB of files are resident, %d mapped", resident, least)
	}
}
