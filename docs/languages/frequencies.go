// The words of /notes/in.txt, the most frequent first.
package main

import (
	"fmt"
	"os"
	"sort"
	"strings"
)

func main() {
	text, err := os.ReadFile("/notes/in.txt")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	counts := map[string]int{}
	for _, word := range strings.Fields(string(text)) {
		counts[word]++
	}
	words := make([]string, 0, len(counts))
	for word := range counts {
		words = append(words, word)
	}
	sort.Slice(words, func(i, j int) bool {
		if counts[words[i]] != counts[words[j]] {
			return counts[words[i]] > counts[words[j]]
		}
		return words[i] < words[j]
	})
	for _, word := range words {
		fmt.Printf("%3d %s\n", counts[word], word)
	}
}
