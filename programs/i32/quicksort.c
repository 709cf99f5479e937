/* Quicksort of an array of signed integers, in place (Hoare's partition around the middle element). */

static int numbers[] = {
    503,  87, 512,  61, 908, 170, 897, 275, 653, 426, 154, 509, 612, 677, 765, 703,
    -12,  44,   0, 999,  -1, 331,  44, 718, -77, 250, 101, 864, -500, 12,   5, 503,
};
enum { COUNT = sizeof numbers / sizeof numbers[0] };

static void quicksort(int *array, int low, int high)
{
    while (low < high) {
        int pivot = array[low + (high - low) / 2];
        int i = low, j = high;
        while (i <= j) {
            while (array[i] < pivot)
                i++;
            while (array[j] > pivot)
                j--;
            if (i <= j) {
                int swap = array[i];
                array[i++] = array[j];
                array[j--] = swap;
            }
        }
        quicksort(array, low, j);
        low = i;  /* the right part by iteration */
    }
}

/* Sorts the array; returns a checksum in which every element's place counts. */
int sort(void)
{
    int checksum = 0;
    quicksort(numbers, 0, COUNT - 1);
    for (int i = 0; i < COUNT; i++)
        checksum = checksum * 31 + numbers[i];
    return checksum;
}

int element(int i)
{
    return numbers[i];
}
