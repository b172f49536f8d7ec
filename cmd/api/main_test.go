package main

import (
	"os"
	"testing"

	"sluice/internal/embedded/embeddedtest"
)

// TestMain runs the tests; or, in a child that they start, this very program.
func TestMain(m *testing.M) {
	if os.Getenv("SLUICE_TEST_AS") == "api" {
		main()
	}
	embeddedtest.Main(m)
}
