package main

import (
	"runtime"
	"sort"
	"time"
)

// Every so manyth item carries the time of its send; as in bench/native/capacity_bench.cc, which
// says why it is a prime.
const sampleStride = 61

// channelLatency measures how long an item is on its way from one goroutine to another, from
// before its send until after its receive, while both are as fast as they can be.
func channelLatency(p params) result {
	items := make(chan int64, p.Capacity)
	delays := make([]float64, 0, p.N/sampleStride+1)
	start := time.Now()
	go func() {
		for i := 0; i < p.N; i++ {
			sent := int64(0)
			if i%sampleStride == 0 {
				sent = int64(time.Since(start)) + 1
			}
			items <- sent
		}
		close(items)
	}()
	done := make(chan struct{})
	go func() {
		for sent := range items {
			if sent != 0 {
				delays = append(delays, float64(int64(time.Since(start))+1-sent))
			}
		}
		close(done)
	}()
	<-done
	sort.Float64s(delays)
	last := float64(len(delays) - 1)
	return result{"medianNs": delays[int(last*0.5)], "p99Ns": delays[int(last*0.99)]}
}

type message [1024]byte

// channelMemory measures the resident bytes that full channels keep alive, each: of numbers, and
// of pointers to messages of 1 KiB.
func channelMemory(p params) result {
	ofNumbers := make([]chan uint64, p.Channels)
	ofMessages := make([]chan *message, p.MessageChannels)
	before := residentBytes()
	for c := range ofNumbers {
		items := make(chan uint64, p.Capacity)
		for i := 0; i < p.Capacity; i++ {
			items <- 1
		}
		ofNumbers[c] = items
	}
	between := residentBytes()
	for c := range ofMessages {
		items := make(chan *message, p.Capacity)
		for i := 0; i < p.Capacity; i++ {
			item := new(message)
			item[0] = 1
			items <- item
		}
		ofMessages[c] = items
	}
	after := residentBytes()
	runtime.KeepAlive(ofNumbers)
	runtime.KeepAlive(ofMessages)
	return result{
		"numberBytes":  float64(between-before) / float64(p.Channels),
		"messageBytes": float64(after-between) / float64(p.MessageChannels),
	}
}
