package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"sluice/internal/bench"
	"sluice/internal/bench/rivals/drawing"
)

// draws draws the plots of a report.
type draws struct {
	JSON string `name:"json" required:"" placeholder:"FILE" help:"What sluice bench has written: docs/benchmarks.json."`
	Out  string `required:"" placeholder:"DIR" help:"Folder for the plots; made if there is none."`
}

// Run writes one file per plot, and prints their names.
func (d *draws) Run() error {
	text, err := os.ReadFile(d.JSON)
	if err != nil {
		return err
	}
	var report bench.Report
	if err := json.Unmarshal(text, &report); err != nil {
		return fmt.Errorf("read %s: %w", d.JSON, err)
	}
	pictures, err := drawing.All(report)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(d.Out, 0o755); err != nil {
		return err
	}
	for _, p := range pictures {
		if err := os.WriteFile(filepath.Join(d.Out, p.Name), p.SVG, 0o644); err != nil {
			return err
		}
		fmt.Println(p.Name)
	}
	return nil
}
