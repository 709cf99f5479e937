/* The sun and the four giant planets: energy after so many steps of 0.01 days each (symplectic Euler). */

#define BODIES 5
#define PI 3.141592653589793
#define SOLAR_MASS (4 * PI * PI)
#define YEAR 365.24

typedef struct {
    double x[3], v[3], mass;
} Body;

static const Body START[BODIES] = {
    {{0, 0, 0}, {0, 0, 0}, SOLAR_MASS},
    /* Jupiter */
    {{4.84143144246472090, -1.16032004402742839, -1.03622044471123109e-1},
     {1.66007664274403694e-3 * YEAR, 7.69901118419740425e-3 * YEAR, -6.90460016972063023e-5 * YEAR},
     9.54791938424326609e-4 * SOLAR_MASS},
    /* Saturn */
    {{8.34336671824457987, 4.12479856412430479, -4.03523417114321381e-1},
     {-2.76742510726411021e-3 * YEAR, 4.99852801234917238e-3 * YEAR, 2.30417297573763929e-5 * YEAR},
     2.85885980666130812e-4 * SOLAR_MASS},
    /* Uranus */
    {{12.8943695621391310, -15.1111514016986312, -2.23307578892655734e-1},
     {2.96460137564761618e-3 * YEAR, 2.37847173959480950e-3 * YEAR, -2.96589568540237556e-5 * YEAR},
     4.36624404335156298e-5 * SOLAR_MASS},
    /* Neptune */
    {{15.3796971148509165, -25.9193146099879641, 1.79258772950371181e-1},
     {2.68067772490389322e-3 * YEAR, 1.62824170038242295e-3 * YEAR, -9.51592254519715870e-5 * YEAR},
     5.15138902046611451e-5 * SOLAR_MASS},
};

static Body bodies[BODIES];

static void start(void)
{
    for (int i = 0; i < BODIES; i++)
        bodies[i] = START[i];
    /* the sun takes up the momentum of the others */
    for (int k = 0; k < 3; k++)
        for (int i = 1; i < BODIES; i++)
            bodies[0].v[k] -= bodies[i].v[k] * bodies[i].mass / SOLAR_MASS;
}

static void step(double dt)
{
    for (int i = 0; i < BODIES; i++)
        for (int j = i + 1; j < BODIES; j++) {
            double d[3], square = 0;
            for (int k = 0; k < 3; k++) {
                d[k] = bodies[i].x[k] - bodies[j].x[k];
                square += d[k] * d[k];
            }
            double pull = dt / (square * __builtin_sqrt(square));
            for (int k = 0; k < 3; k++) {
                bodies[i].v[k] -= d[k] * bodies[j].mass * pull;
                bodies[j].v[k] += d[k] * bodies[i].mass * pull;
            }
        }
    for (int i = 0; i < BODIES; i++)
        for (int k = 0; k < 3; k++)
            bodies[i].x[k] += dt * bodies[i].v[k];
}

static double energy(void)
{
    double sum = 0;
    for (int i = 0; i < BODIES; i++) {
        double speed = 0;
        for (int k = 0; k < 3; k++)
            speed += bodies[i].v[k] * bodies[i].v[k];
        sum += 0.5 * bodies[i].mass * speed;
        for (int j = i + 1; j < BODIES; j++) {
            double square = 0;
            for (int k = 0; k < 3; k++) {
                double d = bodies[i].x[k] - bodies[j].x[k];
                square += d * d;
            }
            sum -= bodies[i].mass * bodies[j].mass / __builtin_sqrt(square);
        }
    }
    return sum;
}

double nbody(int steps)
{
    start();
    while (steps-- > 0)
        step(0.01);
    return energy();
}
