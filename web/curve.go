package web

import (
	"fmt"
	"strings"
	"time"

	"sluice/client"
)

// A price curve is a staircase that goes down. It is drawn on the server, so that it is
// there without a script; the browser only moves the mark of the present.
const (
	curveWidth  = 640
	curveHeight = 220
	curveMost   = 240 // stairs: more are thinner than a pixel
)

type curve struct {
	Width, Height int
	Past, Future  string // paths
	Area          string
	NowX, NowY    float64
	HasNow        bool
	First, Last   int64
	From, To      time.Time
	Steps         int
	Grid          []gridLine
	Prices        []int64 // all of them, for the browser to reckon with
}

type gridLine struct {
	Y     float64
	Price int64
}

// newCurve draws the prices of a sale that closes at to, as it stands at now.
func newCurve(steps []client.Step, to, now time.Time) *curve {
	if len(steps) == 0 || !to.After(steps[0].At) {
		return nil
	}
	c := &curve{Width: curveWidth, Height: curveHeight, From: steps[0].At, To: to, First: steps[0].Price, Last: steps[len(steps)-1].Price, Steps: len(steps)}
	for _, s := range steps {
		c.Prices = append(c.Prices, s.Price)
	}
	length, top := float64(to.Sub(c.From)), float64(max(c.First, 1))
	x := func(t time.Time) float64 { return float64(curveWidth) * float64(t.Sub(c.From)) / length }
	y := func(price int64) float64 { return 8 + (curveHeight-16)*(1-float64(price)/top) }
	for _, part := range []int64{4, 3, 2, 1} {
		price := c.First * part / 4
		c.Grid = append(c.Grid, gridLine{y(price), price})
	}
	every := (len(steps) + curveMost - 1) / curveMost
	var past, future, area strings.Builder
	fmt.Fprintf(&area, "M0 %d", curveHeight)
	draw := func(b *strings.Builder, fromX, toX, atY float64) {
		if b.Len() == 0 {
			fmt.Fprintf(b, "M%.1f %.1fH%.1f", fromX, atY, toX)
			return
		}
		fmt.Fprintf(b, "V%.1fH%.1f", atY, toX)
	}
	for i := 0; i < len(steps); i += every {
		end := to
		if i+every < len(steps) {
			end = steps[i+every].At
		}
		x0, x1, at := x(steps[i].At), x(end), y(steps[i].Price)
		fmt.Fprintf(&area, "L%.1f %.1fH%.1f", x0, at, x1)
		switch {
		case !now.Before(end):
			draw(&past, x0, x1, at)
		case now.Before(steps[i].At):
			draw(&future, x0, x1, at)
		default:
			c.HasNow, c.NowX, c.NowY = true, x(now), at
			draw(&past, x0, c.NowX, at)
			draw(&future, c.NowX, x1, at)
		}
	}
	fmt.Fprintf(&area, "V%dZ", curveHeight)
	c.Past, c.Future, c.Area = past.String(), future.String(), area.String()
	return c
}
