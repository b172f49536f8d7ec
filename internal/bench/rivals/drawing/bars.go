package drawing

import (
	"fmt"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"

	"sluice/internal/bench"
)

// rate is how fast somebody was: in the median, at worst and at best.
type rate struct {
	name                string
	median, worst, best float64 // per second
	rounds              int
}

// rates are those of a scenario whose contenders have one. Who sold what there was not
// is called so.
func rates(scenario bench.Told) (all []rate) {
	for _, c := range scenario.Contenders {
		if c.Median.Rate <= 0 {
			continue
		}
		r := rate{c.Name, c.Median.Rate, c.Median.Rate, c.Median.Rate, len(c.Rounds)}
		if c.Median.Values["oversold"] > 0 {
			r.name += " (oversells)"
		}
		for _, round := range c.Rounds {
			r.worst, r.best = min(r.worst, round.Rate), max(r.best, round.Rate)
		}
		all = append(all, r)
	}
	return all
}

// bars draws rates below each other, in the order that they have, the first one on top.
func bars(title string, rates []rate) ([]byte, error) {
	label, most := "per second", 0.0
	if n := rates[0].rounds; n > 1 {
		label = fmt.Sprintf("per second: the median, and from the worst to the best of %d rounds", n)
	}
	p := sheet(title, label, "")
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Width = pale, 0
	p.Add(grid)
	var names []string
	spread := spreads{}
	labels := plotter.XYLabels{}
	thickness := min(26, 180/vg.Length(len(rates)))
	for i := range rates {
		place := len(rates) - 1 - i
		r := rates[i]
		bar, err := plotter.NewBarChart(plotter.Values{r.median}, thickness)
		if err != nil {
			return nil, err
		}
		bar.Horizontal, bar.XMin, bar.Color, bar.LineStyle.Width = true, float64(place), colours[0], 0
		if i > 0 {
			bar.Color = colours[5]
		}
		p.Add(bar)
		spread.XYs = append(spread.XYs, plotter.XY{X: r.median, Y: float64(place)})
		spread.XErrors = append(spread.XErrors, struct{ Low, High float64 }{r.worst - r.median, r.best - r.median})
		labels.XYs = append(labels.XYs, plotter.XY{X: r.best, Y: float64(place)})
		labels.Labels = append(labels.Labels, grouped(r.median))
		names = append([]string{r.name}, names...)
		most = max(most, r.best)
	}
	whiskers, err := plotter.NewXErrorBars(spread)
	if err != nil {
		return nil, err
	}
	whiskers.LineStyle.Color, whiskers.LineStyle.Width, whiskers.CapWidth = ink, 1, 6
	figures, err := plotter.NewLabels(labels)
	if err != nil {
		return nil, err
	}
	for i := range figures.TextStyle {
		figures.TextStyle[i].Font, figures.TextStyle[i].Color = sans(10), ink
		figures.TextStyle[i].YAlign = text.YCenter
	}
	figures.Offset = vg.Point{X: 6}
	p.Add(whiskers, figures)
	p.NominalY(names...)
	p.Y.Tick.Label.Font, p.Y.LineStyle.Width = sans(11), 0
	p.Y.Min, p.Y.Max = -0.6, float64(len(rates))-0.4
	p.X.Min, p.X.Max = 0, most*1.12 // room for the last figure
	p.X.Tick.Marker = plot.TickerFunc(steps)
	canvas, area := page()
	p.Draw(area)
	return write(canvas)
}

// spreads are points with a worst and a best.
type spreads struct {
	plotter.XYs
	plotter.XErrors
}

// grouped writes whole numbers with commas, as the tables do.
func grouped(value float64) string {
	digits := strconv.FormatFloat(value, 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
