package main

import (
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// residentBytes is RSS (/proc/self/statm) plus page tables (VmPTE of /proc/self/status).
func residentBytes() int64 {
	return rss() + pageTables()
}

func rss() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		panic(err)
	}
	pages, err := strconv.ParseInt(string(bytes.Fields(text)[1]), 10, 64)
	if err != nil {
		panic(err)
	}
	return pages * int64(os.Getpagesize())
}

func pageTables() int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		panic(err)
	}
	at := bytes.Index(text, []byte("VmPTE:"))
	if at < 0 {
		return 0
	}
	kib, err := strconv.ParseInt(string(bytes.Fields(text[at+len("VmPTE:"):])[0]), 10, 64)
	if err != nil {
		panic(err)
	}
	return kib * 1024
}

// memory parks n goroutines at once and reports resident bytes before, while parked and after.
// The park is a receive on one shared channel, the cheapest wait that can be ended again.
func memory(p params) result {
	debug.FreeOSMemory()
	begin := time.Now()
	before, tablesBefore := residentBytes(), pageTables()
	curve := sampler{begin: begin, stop: make(chan struct{}), stopped: make(chan struct{})}
	go curve.run()
	gate := make(chan struct{})
	var started int64
	var group sync.WaitGroup
	group.Add(p.N)
	body := func() {
		atomic.AddInt64(&started, 1)
		<-gate
		group.Done()
	}
	for i := 0; i < p.N; i++ {
		go body()
	}
	for atomic.LoadInt64(&started) != int64(p.N) {
		runtime.Gosched()
	}
	startMs := time.Since(begin).Seconds() * 1e3
	time.Sleep(20 * time.Millisecond)
	// What a collection frees is not the price of a parked goroutine.
	debug.FreeOSMemory()
	peak, tablesPeak := residentBytes(), pageTables()
	close(gate)
	group.Wait()
	debug.FreeOSMemory()
	time.Sleep(20 * time.Millisecond)
	close(curve.stop)
	<-curve.stopped
	return result{
		"bytesPerUnit": float64(peak-before) / float64(p.N),
		"rssStart":     before, "rssPeak": peak, "rssAfter": residentBytes(),
		"startMs": startMs, "curve": curve.points,
		"components": result{"pageTables": tablesPeak - tablesBefore},
	}
}

// sampler records [ms, resident bytes] until it is stopped, at most about 200 points a second.
type sampler struct {
	begin         time.Time
	points        [][2]float64
	stop, stopped chan struct{}
}

func (s *sampler) run() {
	defer close(s.stopped)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		ms := time.Since(s.begin).Seconds() * 1e3
		s.points = append(s.points, [2]float64{ms, float64(rss())})
		select {
		case <-s.stop:
			return
		case <-ticker.C:
		}
	}
}

// deepest recurses until the frames cover limit bytes and answers the depth. A frame's size does
// not change when the runtime moves the stack, so it is measured once, between two neighbours.
func deepest(limit int) int {
	size := frameSize(0, 1)
	return recurse(limit/int(size), 0)
}

//go:noinline
func frameSize(parent uintptr, level int) uintptr {
	var local [2]uint64
	here := uintptr(unsafe.Pointer(&local))
	if level == 0 {
		return parent - here
	}
	return frameSize(here, level-1)
}

//go:noinline
func recurse(left int, depth int) int {
	var local [2]uint64
	local[depth&1] = uint64(left)
	if left == 0 {
		return depth
	}
	return recurse(left-1, depth+1) + int(local[(depth+1)&1])
}
