package drawing

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"sluice/internal/bench"
)

// curve draws one curve: its series as lines with a dot at every point that was
// measured, and who is who beside them. Linear axes begin at zero, so that what looks
// steep is steep.
func curve(title string, c bench.Curve) ([]byte, error) {
	p := sheet(title+": "+c.Name, c.X, c.Y)
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = pale, pale
	p.Add(grid)
	x, y := newScale(c.LogX), newScale(c.LogY)
	for _, series := range c.Series {
		for _, point := range series.Points {
			if err := errors.Join(x.see(point[0]), y.see(point[1])); err != nil {
				return nil, fmt.Errorf("%s: %w", series.Name, err)
			}
		}
	}
	if x.most == 0 && y.most == 0 {
		return nil, errors.New("there is no point to draw")
	}
	legend := plot.NewLegend()
	legend.Top, legend.Left = true, true
	legend.TextStyle.Font, legend.TextStyle.Color = sans(10), ink
	legend.Padding, legend.ThumbnailWidth = 4, 18
	for i, series := range c.Series {
		points := make(plotter.XYs, len(series.Points))
		for j, point := range series.Points {
			points[j] = plotter.XY{X: x.place(point[0]), Y: y.place(point[1])}
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", series.Name, err)
		}
		colour := colours[i%len(colours)]
		line.Color, line.Width = colour, 1.8
		if i >= len(colours) { // the colours begin again
			line.Dashes = []vg.Length{6, 3}
		}
		dots.Color, dots.Shape, dots.Radius = colour, draw.CircleGlyph{}, 2.6
		p.Add(line, dots)
		legend.Add(series.Name, line, dots)
	}
	x.set(&p.X)
	y.set(&p.Y)
	canvas, area := page()
	if len(c.Series) > 1 {
		room := legend.Rectangle(area).Size().X + 12
		beside := draw.Crop(area, area.Size().X-room+12, 0, 0, -28) // below the title
		legend.Draw(beside)
		area = draw.Crop(area, 0, -room, 0, 0)
	}
	p.Draw(area)
	return write(canvas)
}

// scale is what an axis has to show.
type scale struct {
	log         bool
	least, most float64 // of what is more than 0
	zero        bool
}

func newScale(log bool) *scale { return &scale{log: log, least: math.Inf(1)} }

func (s *scale) see(value float64) error {
	switch {
	case value < 0 || math.IsNaN(value) || math.IsInf(value, 0):
		return fmt.Errorf("%v cannot be drawn", value)
	case value == 0:
		s.zero = true
	default:
		s.least, s.most = min(s.least, value), max(s.most, value)
	}
	return nil
}

// place is where a value stands. A logarithm has no place for nothing: it stands one
// decade before the least, and its tick says that it is 0.
func (s *scale) place(value float64) float64 {
	if value == 0 && s.log {
		return s.nothing()
	}
	return value
}

func (s *scale) nothing() float64 {
	if s.most == 0 {
		return 1
	}
	return s.least / 10
}

// set makes the axis show all of it.
func (s *scale) set(axis *plot.Axis) {
	if !s.log {
		axis.Min, axis.Max = 0, s.most*1.04
		if s.most == 0 {
			axis.Max = 1
		}
		axis.Tick.Marker = plot.TickerFunc(steps)
		return
	}
	axis.Scale, axis.Tick.Marker = plot.LogScale{}, plot.TickerFunc(s.decades)
	axis.Min, axis.Max = s.least, s.most
	if s.zero {
		axis.Min = s.nothing()
	}
	if axis.Max <= axis.Min { // a single value
		axis.Min, axis.Max = axis.Min/2, axis.Min*2
	}
}
