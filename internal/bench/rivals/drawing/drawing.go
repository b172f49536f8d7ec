// Package drawing draws what a run of the benchmarks found as SVG: one plot per curve,
// and the rates of those who were measured beside each other as bars.
//
// The same report gives the same bytes. The background is white whatever is behind it,
// so a plot reads alike on a light page and on a dark one.
package drawing

import (
	"bytes"
	"fmt"
	"image/color"
	"strings"
	"unicode"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"sluice/internal/bench"
)

// Picture is a plot, ready to be written.
type Picture struct {
	Name string // of its file: lock-rates.svg
	SVG  []byte
}

// Width and height of a plot: 800 pixels wide, as wide as a page of text is shown.
const (
	width  = 600 * vg.Length(1) // points
	height = 320 * vg.Length(1)
)

var (
	ink  = color.Gray{40}
	pale = color.Gray{215}

	// The colours that Okabe and Ito chose so that everybody can tell them apart.
	colours = []color.Color{
		color.RGBA{0, 114, 178, 255}, color.RGBA{213, 94, 0, 255}, color.RGBA{0, 158, 115, 255}, color.RGBA{204, 121, 167, 255},
		color.RGBA{230, 159, 0, 255}, color.RGBA{86, 180, 233, 255}, color.RGBA{0, 0, 0, 255},
	}
)

// All draws every curve of a report, and the rates of every scenario that has more than
// one to tell.
func All(report bench.Report) (pictures []Picture, err error) {
	names := map[string]bool{}
	add := func(name string, svg []byte, err error) error {
		if err == nil && names[name] {
			err = fmt.Errorf("there are two of that name")
		}
		if err != nil {
			return fmt.Errorf("draw %s: %w", name, err)
		}
		names[name] = true
		pictures = append(pictures, Picture{name, svg})
		return nil
	}
	for _, scenario := range report.Scenarios {
		if told := rates(scenario); len(told) > 1 {
			svg, err := bars(scenario.Title, told)
			if err := add(slug(scenario.Name)+"-rates.svg", svg, err); err != nil {
				return nil, err
			}
		}
		for _, c := range scenario.Curves {
			svg, err := curve(scenario.Title, c)
			if err := add(slug(scenario.Name+" "+c.Name)+".svg", svg, err); err != nil {
				return nil, err
			}
		}
	}
	return pictures, nil
}

// slug makes the name of a file: small letters, digits, and dashes between.
func slug(text string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}), "-")
}

// sans is the font of all text, in points.
func sans(size vg.Length) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
}

// sheet is an empty plot in our hand.
func sheet(title, x, y string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = color.White
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.TextStyle.Font, p.Title.TextStyle.Color, p.Title.Padding = sans(13), ink, 8
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Label.TextStyle.Font, axis.Label.TextStyle.Color, axis.Label.Padding = sans(11), ink, 4
		axis.Tick.Label.Font, axis.Tick.Label.Color = sans(10), ink
		axis.LineStyle.Color, axis.Tick.LineStyle.Color = ink, ink
	}
	return p
}

// page is a canvas with a margin.
func page() (*vgsvg.Canvas, draw.Canvas) {
	canvas := vgsvg.New(width, height)
	whole := draw.New(canvas)
	whole.SetColor(color.White)
	whole.Fill(whole.Rectangle.Path())
	const margin = 10
	return canvas, draw.Crop(whole, margin, -margin, margin, -margin)
}

// write answers the document. Who has not the font that it was measured with has one of
// the same widths, under one of these names.
func write(canvas *vgsvg.Canvas) ([]byte, error) {
	var out bytes.Buffer
	if _, err := canvas.WriteTo(&out); err != nil {
		return nil, err
	}
	return bytes.ReplaceAll(out.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:Liberation Sans,Arimo,Arial,Helvetica,sans-serif;")), nil
}
