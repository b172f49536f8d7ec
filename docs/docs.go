// Package docs holds, for the program, what was measured.
package docs

import _ "embed" // for the figures

// Benchmarks is benchmarks.json: what `make bench` has measured, every round of it.
//
//go:embed benchmarks.json
var Benchmarks []byte
